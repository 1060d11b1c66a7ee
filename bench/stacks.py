"""Runs of the real engine, each timed, with what its processes took and what it asked of the simulated service."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import Any

import pulumi_cbr.simulator as simulation
from bench import native_floor

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).with_name("program")

#: What the caller's shell says about clouds, proxies, Pulumi, Terraform and bytecode is about something else.
_NOT_OURS = re.compile(r"(OS|HW|CBR|PULUMI|BENCH|TF)_.*|.*_proxy|PYTHONDONTWRITEBYTECODE", re.IGNORECASE)

#: Modules that Python runs as plugins.
_PLUGINS = {"pulumi.dynamic", "bench.native_floor"}

#: Seconds between two looks at the processes.
_SAMPLING = 0.1

#: Lets the engine write the state once, at the end.
NO_CHECKPOINTS = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}

#: Backups, and the projects that each is shared with.
Shares = Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Run:
    """One operation of the engine."""

    seconds: float
    #: Most memory that the plugin's process had, in MB.
    plugin_mb: float
    #: Processor time of the plugin, and of the program.
    plugin_cpu_seconds: float
    program_cpu_seconds: float
    #: Seconds until the program's first line, and from there to its last.
    start_seconds: float = 0.0
    program_seconds: float = 0.0
    #: Seconds in which at least one call was on its way, and the calls by their kind.
    calling_seconds: float = 0.0
    calls: Mapping[str, int] = field(default_factory=dict)
    #: The most calls at one time.
    calls_at_once: int = 0


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a user with an engine, and nothing of the caller's."""
    tool = ROOT / "tools" / "engine" / "engine.py"
    engine = subprocess.run([sys.executable, tool], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    clean = without_ours()
    for name in "home", "state":
        (folder / name).mkdir(exist_ok=True)
    return {
        **clean,
        "PATH": os.pathsep.join([str(_install_package()), engine, clean.get("PATH", os.defpath)]),
        # The floor is found as the package is: as an importable module.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH", "")])),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }


@cache
def _install_package() -> Path:
    """Install the package as a user does, and return the folder of its programs.

    The engine lists the installed packages before each command. The tools of the development environment make that list three
    times as long.
    """
    uv, target = Path(sys.executable).with_name("uv"), ROOT / "build" / "bench-environment"
    shutil.rmtree(target, ignore_errors=True)
    programs = target / "bin"
    subprocess.run([uv, "venv", "--quiet", "--seed", "--system-certs", "--python", sys.executable, target], check=True)
    options = ("--quiet", "--system-certs", "--compile-bytecode", "--python", str(programs / "python"))
    subprocess.run([uv, "pip", "install", *options, ROOT], check=True)
    native_floor.install(programs)
    return programs


def without_ours() -> dict[str, str]:
    """Return the caller's environment without what would change a measurement."""
    return {name: value for name, value in os.environ.items() if not _NOT_OURS.fullmatch(name)}


class Simulator:
    """The simulated service in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.env: dict[str, str] = self._ask("GET", "/env/owner")
        there = self._ask("GET", "")
        owner = simulation.Simulator(seed=there["seed"]).owner
        #: The same user's access keys, in place of the password in `env`.
        self.access_key_env = {
            "HW_ACCESS_KEY": owner.access_key,
            "HW_SECRET_KEY": owner.secret_key,
            "HW_REGION_NAME": self.env["OS_REGION_NAME"],
            "HW_PROJECT_ID": owner.project_id,
            "CBR_ENDPOINT": url,
        }
        self._backups = [backup["id"] for backup in there["backups"]]
        self._projects = there["projects"]

    def shares(self, backups: int, projects: int, *, first: int = 0) -> Shares:
        """Return some backups, from the `first` on, each with the first projects."""
        return [(backup, self._projects[:projects]) for backup in self._backups[first : first + backups]]

    def share(self, shares: Shares) -> None:
        """Share them all, without a call to the API."""
        for backup, projects in shares:
            for project in projects:
                self._ask("POST", "/share", {"backup_id": backup, "project_id": project})

    def accept(self, shares: Shares) -> None:
        """Accept them all, as their receivers."""
        for backup, projects in shares:
            for project in projects:
                self._ask("POST", "/accept", {"backup_id": backup, "project_id": project})

    def forget_calls(self) -> None:
        """Forget the calls until now."""
        self._ask("DELETE", "/calls")

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls since then."""
        found: list[dict[str, Any]] = self._ask("GET", "/calls")["calls"]
        return found

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_simulator{path}", data, headers, method=method)  # noqa: S310
        with self._opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def simulator(latency: float, backups: int) -> Iterator[Simulator]:
    """Serve while the context lasts."""
    command = [sys.executable, "-m", "pulumi_cbr.simulator", "serve", "--latency", str(latency)]
    process = subprocess.Popen(
        [*command, "--backups", str(backups)], env=without_ours(), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout  # noqa: S101
            yield Simulator(process.stdout.readline().strip())
        finally:
            process.terminate()


class Stack:
    """One stack of the measured program."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], service: Simulator, sign_in: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._env = {**env, **(service.env if sign_in is None else sign_in)}
        self._service = service
        self._name = folder.name
        shutil.copytree(PROGRAM, folder)
        self._cli("stack", "init", self._name)

    def run(self, operation: str, kind: str, shares: Shares, env: Mapping[str, str]) -> Run:
        """Run `up`, `refresh`, `preview` or `destroy`, and give what it took."""
        (self._folder / "plan.json").write_text(json.dumps({"kind": kind, "shares": shares}))
        stamps = self._folder / "stamps.json"
        stamps.unlink(missing_ok=True)
        self._service.forget_calls()
        words = [operation] if operation == "preview" else [operation, "--yes", "--skip-preview"]
        began = monotonic()
        watch = self._cli(*words, "--suppress-progress", "--stack", self._name, env=env)
        seconds = monotonic() - began
        first, last = json.loads(stamps.read_text()) if stamps.exists() else (began, began)
        calls = self._service.calls()
        spans = [(call["started"], call["finished"]) for call in calls]
        return Run(
            seconds=seconds,
            plugin_mb=watch.plugin_mb,
            plugin_cpu_seconds=watch.cpu_seconds("plugin"),
            program_cpu_seconds=watch.cpu_seconds("program"),
            start_seconds=first - began,
            program_seconds=last - first,
            calling_seconds=_covered(spans),
            calls_at_once=_count_at_once(spans),
            calls=Counter(kind_of(call) for call in calls),
        )

    def configure(self, name: str, value: str) -> None:
        """Set a value in the stack's configuration."""
        self._cli("config", "set", name, value, "--stack", self._name)

    def state(self) -> list[dict[str, Any]]:
        """Return the entries of the measured resources."""
        file = Path(self._env["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi" / "stacks"
        text = (file / "cbr-bench" / f"{self._name}.json").read_text()
        entries: list[dict[str, Any]] = json.loads(text)["checkpoint"]["latest"]["resources"]
        return [entry for entry in entries if entry.get("custom") and "backup_id" in entry.get("inputs", {})]

    def _cli(self, *words: str, env: Mapping[str, str] | None = None) -> Watch:
        command = ["pulumi", *words, "--non-interactive", "--color", "never"]
        return execute(command, self._folder, {**self._env, **(env or {})})


def execute(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Watch:
    """Run a command in a folder; raise `RuntimeError` with its output if it fails."""
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with Watch(process.pid) as watch:
                code = process.wait()
        except BaseException:
            # Ours to end: it is in a session of its own. It ends its plugins in turn.
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        if code:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command[:2])} ended with {code}:\n{output.read()[-2000:]}")
    return watch


class Watch:
    """A watch over the processes of a session: the plugin's memory, and processor times."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._roles: dict[int, str] = {}
        self._cpu: dict[int, float] = {}
        self.plugin_mb = 0.0

    def cpu_seconds(self, role: str) -> float:
        return sum(seconds for pid, seconds in self._cpu.items() if self._roles[pid] == role)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLING):
            for process in Path("/proc").glob("[0-9]*"):
                pid = int(process.name)
                try:
                    if os.getsid(pid) != self._session:
                        continue
                    role = self._roles.setdefault(pid, "") or _role((process / "cmdline").read_text())
                    self._roles[pid] = role
                    if not role:
                        continue
                    used = (process / "stat").read_text().rpartition(")")[2].split()
                    self._cpu[pid] = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
                    peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
                    if role == "plugin" and peak:
                        self.plugin_mb = int(peak[1]) / 1024
                except OSError:
                    continue


def _role(command: str) -> str:
    """Return whether a command line is of the plugin, which a shell may start, or the program."""
    words = command.split("\0")
    if words[0].endswith("/terraform-provider-huaweicloud"):
        return "plugin"
    if "python" not in words[0]:
        return ""
    if not _PLUGINS.isdisjoint(words) or any(word.endswith("pulumi-resource-cbr") for word in words):
        return "plugin"
    return "program" if any(word.endswith("pulumi-language-python-exec") for word in words) else ""


def _covered(spans: list[tuple[float, float]]) -> float:
    """Return the time that spans cover together."""
    total, end = 0.0, 0.0
    for start, finish in sorted(spans):
        total += max(0.0, finish - max(start, end))
        end = max(end, finish)
    return total


def _count_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of the spans overlap at most."""
    # At one time, ends come before starts.
    changes = sorted([(start, 1) for start, _ in spans] + [(finish, -1) for _, finish in spans])
    return max(accumulate(change for _, change in changes), default=0)


def kind_of(call: Mapping[str, Any]) -> str:
    """Return the kind of a call: `POST`, `list`, `sign-in` and so on."""
    match = re.fullmatch(r"/v3/[^/]+/backups/[^/]+/members(/.+)?", call["path"])
    if not match:
        return "sign-in" if call["path"] == "/v3/auth/tokens" else "other"
    kind = {"POST": "POST", "DELETE": "DELETE", "PUT": "PUT", "GET": "show" if match[1] else "list"}
    return kind[call["method"]]
