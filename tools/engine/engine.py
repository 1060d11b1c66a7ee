"""Find the Pulumi engine, or obtain it, and print the folder to put on PATH.

The folder is the last (and only) line on standard output; everything for people goes to standard error. With `--find`, nothing
is obtained. In this order:

1. `pulumi` and its Python language host on PATH;
2. what an earlier run of this program left in the user's cache folder;
3. the official installer, as the Pulumi SDK calls it;
4. a build from Go modules, pinned by the go.mod and go.sum files beside this program.

What is built runs programs in Python, TypeScript and YAML, and generates code in Python, TypeScript and Go. The hosts that
can be had as Go modules run programs, but are too old to generate code: cli/language does, and hands the rest to them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI, LANGUAGE_HOST = "pulumi", "pulumi-language-python"

#: Without a first byte after this long, this machine has no internet (a name server that does not answer, a firewall
#: that drops packets). A download that has begun may take as long as it likes, while bytes keep coming.
FIRST_BYTE = 10.0
NEXT_BYTE = 60.0
HEARTBEAT = 30.0

#: The module that pins it, the package, and the name of the program.
LANGUAGE_HOSTS = (
    ("cli", "./language", LANGUAGE_HOST),
    ("host", "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python", f"{LANGUAGE_HOST}-run"),
    ("nodejs", "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs", "pulumi-language-nodejs-run"),
    ("cli", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml", "pulumi-language-yaml"),
)

INSTALL = """
import socket, sys
socket.setdefaulttimeout(5)
from pulumi.automation import PulumiCommand
from semver import VersionInfo
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


class EngineError(Exception):
    """The reason why there is no engine, in one line."""


def main() -> int:
    # By default SIGTERM would end this program and leave the compiler running; SIGINT is ignored where a shell started it
    # in the background, as CI does.
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        folder = find()
        if folder is None and sys.argv[1:] == ["--find"]:
            return 1
        print(folder or obtain())
    except EngineError as error:
        say(f"error: {error}")
        return 1
    return 0


def find() -> Path | None:
    """Return the folder of an engine that is there already."""
    cli = shutil.which(CLI)
    if cli:
        # An installation may put a link to the CLI alone on PATH.
        for folder in Path(cli).absolute().parent, Path(cli).resolve().parent:
            if shutil.which(LANGUAGE_HOST, path=folder):
                return folder
        if shutil.which(LANGUAGE_HOST):
            return Path(cli).absolute().parent
        say(f"{cli} has no {LANGUAGE_HOST} beside it: not used")
    for folder in installed_folder() / "bin", built_folder():
        if all(shutil.which(name, path=folder) for name in (CLI, LANGUAGE_HOST)):
            return folder
    return None


def obtain() -> Path:
    """Install the engine, or build it, in the user's cache folder."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with one_at_a_time():
        found = find()  # by the one that held the lock
        if found:
            return found
        for folder in cache_folder().glob("unfinished-*"):  # of runs that were killed
            shutil.rmtree(folder, ignore_errors=True)
        return install() or build()


def install() -> Path | None:
    """Run the official installer; return None when it cannot be reached."""
    say(f"Pulumi is not on PATH. Trying its installer (version {cli_version()})...")
    root = installed_folder()
    with scratch() as folder:
        # The installer's script and archive go through TMPDIR first: what lies there shows whether bytes arrive.
        downloads = folder / "downloads"
        downloads.mkdir()
        start = time.monotonic()
        last_size, last_growth, patience = 0, start, FIRST_BYTE

        def watch() -> None:
            nonlocal last_size, last_growth, patience
            size = size_of(folder)
            if size > last_size:
                last_size, last_growth, patience = size, time.monotonic(), NEXT_BYTE
            elif time.monotonic() - last_growth > patience:
                raise EngineError(f"nothing arrived for {patience:.0f} s")

        try:
            run(
                [sys.executable, "-c", INSTALL, str(folder / "root"), cli_version()],
                {"TMPDIR": str(downloads)},
                "downloading",
                watch,
            )
        except EngineError as error:
            say(f"The installer does not work here ({error}).")
            return None
        shutil.rmtree(root, ignore_errors=True)
        (folder / "root").rename(root)
    say(f"Installed in {time.monotonic() - start:.0f} s.")
    return root / "bin"


def build() -> Path:
    """Build the CLI and the language hosts from Go modules."""
    go = shutil.which("go")
    if not go:
        raise EngineError(
            "no pulumi on PATH and no go to build it with: install the Pulumi CLI, or Go 1.25.11 or newer"
        )
    start = time.monotonic()
    say("Building it from Go modules instead: once on this machine, 5 to 10 minutes.")
    with scratch() as folder:
        flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{cli_version()}"
        go_build(go, "cli", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", folder / CLI, flags)
        for module, package, name in LANGUAGE_HOSTS:
            go_build(go, module, package, folder / name, "-s -w")
        for name in "pulumi-language-nodejs", "pulumi-language-go":
            (folder / name).symlink_to(LANGUAGE_HOST)
        # The two scripts that the host and the engine start with `python` are files of the SDK's module.
        listing = ["list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"]
        sdk = run([go, "-C", str(HERE / "cli"), *listing], {"GOWORK": "off"}, "finding the SDK")
        for script in "cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python":
            target = folder / Path(script).name
            shutil.copyfile(Path(sdk.strip(), "python", script), target)
            target.chmod(0o755)
        folder.chmod(0o755)  # mkdtemp's is 0700
        shutil.rmtree(built_folder(), ignore_errors=True)
        folder.rename(built_folder())
    say(f"Built in {time.monotonic() - start:.0f} s.")
    return built_folder()


def go_build(go: str, module: str, package: str, output: Path, ldflags: str) -> None:
    say(f"Building {output.name}...")
    run(
        [go, "-C", str(HERE / module), "build", "-trimpath", "-ldflags", ldflags, "-o", str(output), package],
        {"GOWORK": "off"},
        f"building {output.name}",
    )


def run(
    command: list[str], env: dict[str, str] | None = None, doing: str = "", watch: Callable[[], None] | None = None
) -> str:
    """Run `command` and return what it printed; report every 30 s that it still runs.

    It is stopped if `watch` raises.
    """
    start = beat = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        # A session of its own, so that stopping it stops what it started (curl, compilers).
        process = subprocess.Popen(
            command, env=os.environ | (env or {}), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - beat > HEARTBEAT:
                    beat += HEARTBEAT
                    say(f"  still {doing} ({beat - start:.0f} s)")
                if watch:
                    watch()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read()
    if process.returncode:
        lines = text.strip().splitlines() or ["it printed nothing"]
        raise EngineError(f"{doing} failed: {lines[-1]}")
    return text


def cache_folder() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        user = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        user = Path.home() / "Library" / "Caches"
    else:
        user = Path.home() / ".cache"
    return user / "pulumi-cbr"


def installed_folder() -> Path:
    return cache_folder() / f"installed-{cli_version()}"


def built_folder() -> Path:
    sources = sorted(path for path in HERE.rglob("*") if path.suffix in (".mod", ".sum", ".go"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return cache_folder() / f"engine-{cli_version()}-{digest[:8]}"


def cli_version() -> str:
    module = "github.com/pulumi/pulumi/pkg/v3"
    match = re.search(rf"{re.escape(module)} v([\d.]+)", (HERE / "cli" / "go.mod").read_text())
    if not match:
        raise EngineError(f"cli/go.mod does not require {module}")
    return match[1]


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder beside the final one, so that a rename makes all of it appear at once."""
    folder = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the cache folder's lock; the kernel lets go of it however this program ends."""
    with open(cache_folder() / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run is obtaining the engine: waiting for it...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def size_of(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # the installer tidies up as it goes
                continue
    return total


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
