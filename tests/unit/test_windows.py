"""Names that Windows lacks are used only after a check of the platform."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pulumi_cbr
from pulumi_cbr.private_folder import lock_by_library

PACKAGE = Path(pulumi_cbr.__file__).parent

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    "os": {"chown", "fchmod", "fork", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo", "setsid"}
    | {"O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "uname"},
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pthread_kill"},
    "socket": {"AF_UNIX"},
    "asyncio": {"get_child_watcher", "open_unix_connection", "start_unix_server"},
}


def uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield what a module uses of the above, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
            yield from ((node.lineno, name) for name in names if name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NAMES.get(node.value.id, ()):
                yield node.lineno, f"{node.value.id}.{node.attr}"
            elif node.attr == "add_signal_handler":
                yield node.lineno, node.attr


def is_guarded(tree: ast.AST, text: str, line: int) -> bool:
    """Return whether the function or the branch around a line asks for the platform."""
    lines = text.splitlines()
    around = [
        "\n".join(lines[node.lineno - 1 : line])
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.If))
        and node.lineno <= line <= (node.end_lineno or line)
    ]
    return any('"win32"' in part or "_WINDOWS" in part for part in around)


def test_posix_names_are_used_behind_a_check_of_the_platform() -> None:
    found, wrong = [], []
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for line, name in uses(tree):
            found.append(name)
            if not is_guarded(tree, text, line):
                wrong.append(f"{file.relative_to(PACKAGE)}:{line}: {name}")
    assert wrong == []
    # Otherwise this test has nothing to say.
    assert {"fcntl", "os.geteuid"} <= {*found}


def test_unguarded_name_is_found() -> None:
    text = "import fcntl\nimport os\ndef call():\n    os.getuid()\n"
    tree = ast.parse(text)
    assert [(line, name) for line, name in uses(tree) if not is_guarded(tree, text, line)] == [
        (1, "fcntl"),
        (4, "os.getuid"),
    ]


def test_lock_of_the_library_is_held_by_one(tmp_path: Path) -> None:
    """Windows has no `flock`."""
    lock = lock_by_library(tmp_path / "a.lock")
    assert lock
    assert lock_by_library(tmp_path / "a.lock") is None
    lock.release()
    assert lock_by_library(tmp_path / "a.lock")
