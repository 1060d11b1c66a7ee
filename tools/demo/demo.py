"""Show a managed share's whole life with the real `pulumi` CLI, against a simulated cloud, and check each step.

Runs the project in the repository's root (examples/quickstart) with the Python that runs this file. State, settings and
plug-ins of the engine stay in a folder below .demo/, which is gone at the end, and so is every process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
RESOURCE = "pulumi-python:dynamic/cbr:BackupShareMember"

#: What the caller's shell says about clouds, proxies and Pulumi is about something else.
NOT_OURS = re.compile(r"(OS|HW|CBR|PULUMI)_.*|.*_proxy", re.IGNORECASE)

SIGN_IN = "POST /v3/auth/tokens"
ADD, LIST = "POST .../members", "GET .../members"
SHOW, DELETE = "GET .../members/<project>", "DELETE .../members/<project>"


class DemoError(Exception):
    """The difference between what is and what should be, in one line."""


class Stopped(Exception):
    """Somebody wants the demo to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class Demo:
    """The folder, the processes and the environment of one run."""

    def __init__(self) -> None:
        # By process, so that two demos in one clone do not meet.
        self.folder = ROOT / ".demo" / str(os.getpid())
        self.stack = f"demo-{os.getpid()}"
        self.env = {name: value for name, value in os.environ.items() if not NOT_OURS.fullmatch(name)}
        self.simulator: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.title = ""
        self.number = 0
        self.stop_signal = 0

    def run(self) -> None:
        self.prepare()
        started = time.monotonic()

        self.step("Preview: what would happen. Nothing changes, and the cloud is not even asked.")
        self.pulumi("preview")
        self.check(shared=False, managed=False, calls=[])

        self.step("Up: share the backup. One sign-in, one request.")
        self.pulumi("up", "--yes", "--skip-preview")
        self.check(shared=True, managed=True, calls=[SIGN_IN, ADD])

        self.step("Preview again: there is nothing to do, and the cloud is not asked.")
        self.pulumi("preview", "--expect-no-changes")
        self.check(shared=True, managed=True, calls=[])

        self.step("Refresh: compare with the cloud. All is as it was.")
        self.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        self.check(shared=True, managed=True, calls=[SIGN_IN, LIST])

        self.step("An hour later, somebody takes the share away, behind Pulumi's back.")
        self.take_away()
        self.check(shared=False, managed=True, calls=[])

        self.step("Refresh again: Pulumi notices that the share is gone, and asks once more to be sure.")
        self.pulumi("refresh", "--yes", "--skip-preview")
        self.check(shared=False, managed=False, calls=[SIGN_IN, LIST, SHOW])

        self.step("Up: share it again.")
        self.pulumi("up", "--yes", "--skip-preview")
        self.check(shared=True, managed=True, calls=[SIGN_IN, ADD])

        self.step("Destroy: look that the share is still ours, and take it away. The backup stays.")
        self.pulumi("destroy", "--yes", "--skip-preview")
        self.check(shared=False, managed=False, calls=[SIGN_IN, LIST, DELETE])

        say(f"\nAll {self.number} steps did what they should, in {time.monotonic() - started:.0f} s.")

    # Before and after

    def prepare(self) -> None:
        for name in "home", "state":
            (self.folder / name).mkdir(parents=True)
        self.env |= {
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "demo",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }
        # The tests have one that starts sooner.
        if "DEMO_PYTHON" in self.env:
            self.env["PULUMI_PYTHON_CMD"] = self.env["DEMO_PYTHON"]
        tool = ROOT / "tools" / "engine" / "engine.py"
        engine = self.output_of("obtaining the engine", sys.executable, tool).splitlines()[-1]
        # The engine starts `python` by name: this environment's has to be the first.
        path = [str(Path(sys.executable).parent), engine, self.env.get("PATH", os.defpath)]
        self.env["PATH"] = os.pathsep.join(path)
        say(f"Engine: {engine}")

        self.start_simulator()
        self.env |= self.ask("GET", "env/owner")
        say(f"Simulated cloud: {self.url}")
        self.output_of("making the stack", "pulumi", "stack", "init", self.stack, "--non-interactive")

    def start_simulator(self) -> None:
        log = self.folder / "simulator.log"
        with log.open("wb") as output:
            serve = [sys.executable, "-m", "pulumi_cbr.simulator", "serve", "--port", "0"]
            self.simulator = self.start(serve, stdout=output, stderr=subprocess.STDOUT)
        patience = time.monotonic() + 120
        while not self.url:
            self.pause()
            printed = log.read_text()
            if self.simulator.poll() is not None or time.monotonic() > patience:
                raise DemoError(f"the simulator did not start: {last_line(printed)}")
            found = re.search(r"http://127\.0\.0\.1:\d+(?=\s)", printed)
            self.url = found[0] if found else ""

    def clean_up(self) -> None:
        if self.simulator:
            stop(self.simulator)
        shutil.rmtree(self.folder, ignore_errors=True)
        (ROOT / f"Pulumi.{self.stack}.yaml").unlink(missing_ok=True)
        if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    # One step

    def step(self, title: str) -> None:
        self.number += 1
        self.title = title.partition(":")[0].rstrip(".")
        say(f"\n== {self.number}. {title}")

    def pulumi(self, *arguments: str) -> None:
        """Run the CLI, its output as a user sees it."""
        say(f"$ pulumi {' '.join(arguments)}\n")
        color = "always" if sys.stdout.isatty() else "never"
        code = self.wait(
            self.start(["pulumi", *arguments, "--non-interactive", "--suppress-progress", "--color", color])
        )
        if code:
            raise DemoError(f"pulumi {arguments[0]} ended with {code}")

    def take_away(self) -> None:
        resource = self.managed()
        assert resource is not None  # noqa: S101  the step before has checked it
        backup_id, _, project_id = resource["id"].partition("/")
        say(f"(project {project_id} loses backup {backup_id})")
        # The absence of a share that is seconds old would be looked at again, for some clouds show it late.
        self.ask("POST", "advance", {"seconds": 3600})
        self.ask("POST", "withdraw", {"backup_id": backup_id, "project_id": project_id})

    def check(self, *, shared: bool, managed: bool, calls: list[str]) -> None:
        """Check the shares of the cloud and of the stack, and the calls of the last step."""
        members = [member for backup in self.ask("GET", "")["backups"] for member in backup["members"]]
        if len(members) != shared:
            raise DemoError(f"the cloud has {len(members)} shares instead of {int(shared)}")
        resource = self.managed()
        if (resource is not None) != managed:
            raise DemoError(f"the stack {'has no' if managed else 'still has the'} share")
        if shared and resource and resource["id"] != f"{members[0]['backup_id']}/{members[0]['dest_project_id']}":
            raise DemoError(f"the stack has {resource['id']}, and the cloud another share")
        made = [named(call) for call in self.ask("GET", "calls")["calls"]]
        if Counter(made) != Counter(calls):
            raise DemoError(f"the cloud was asked for {listed(made)} instead of {listed(calls)}")
        self.ask("DELETE", "calls")
        say(f"-- checked: {'one share' if shared else 'no share'} in the cloud; calls: {listed(calls)}")

    def managed(self) -> dict[str, Any] | None:
        """Return the share as the stack's state has it."""
        # What `pulumi stack export` shows, and takes a second for.
        (file,) = (self.folder / "state").glob(f".pulumi/stacks/*/{self.stack}.json")
        resources = json.loads(file.read_text())["checkpoint"]["latest"].get("resources", [])
        return next((resource for resource in resources if resource["type"] == RESOURCE), None)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the simulator itself, which is none of the calls it counts."""
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}/_simulator/{path}".rstrip("/")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(url, data, method=method), timeout=10) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except OSError as error:
            raise DemoError(f"the simulator does not answer: {error}") from error

    # Processes

    def start(self, command: list[str], **streams: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own: Ctrl-C reaches only the demo."""
        stdout, stderr = streams.get("stdout"), streams.get("stderr")
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            while process.poll() is None:
                self.pause()
        finally:
            stop(process)
        return process.returncode

    def output_of(self, doing: str, *command: object) -> str:
        path = self.folder / "output"
        with path.open("wb") as output:
            code = self.wait(self.start([str(word) for word in command], stdout=output))
        if code:
            raise DemoError(f"{doing} failed")
        return path.read_text()

    def pause(self) -> None:
        """Let a moment pass. Signals take effect here only, where every process is known."""
        time.sleep(0.05)
        if self.stop_signal:
            raise Stopped(self.stop_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_signal = number


def main() -> int:
    demo = Demo()
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, demo.on_signal)
    try:
        demo.run()
    except DemoError as error:
        where = f"step {demo.number} ({demo.title})" if demo.number else "setting up"
        say(f"\nFAILED: {where}: {error}")
        return 1
    except Stopped as stopped:
        say(f"\n{stopped}: stopping.")
        return 128 + stopped.number
    finally:
        demo.clean_up()
    return 0


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: first by a signal that it can handle."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    for pid in in_session(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def in_session(leader: int) -> list[int]:
    """Return the processes of a session, or none without /proc.

    The engine's plug-ins are in groups of their own.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def named(call: dict[str, Any]) -> str:
    """Name a call by its method and the part of its path that matters."""
    method, path = call["method"], call["path"]
    match = re.fullmatch(r"/v3/[^/]+/backups/[^/]+/members(/.+)?", path)
    if match:
        return f"{method} .../members{'/<project>' if match[1] else ''}"
    return f"{method} {path}"


def listed(calls: list[str]) -> str:
    return ", ".join(calls) or "nothing"


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
