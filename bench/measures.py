"""The measurements: each part returns figures, with ours and the floor's of each round."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench.latency import LATENCY
from bench.listing import listings
from bench.stacks import NO_CHECKPOINTS, ROOT, Run, Shares, Simulator, Stack, environment, simulator, without_ours
from bench.terraform import TerraformStack

#: Seconds of a call to the simulated service, in parts with latency.
CALL_SECONDS = 0.1

_OPERATIONS = ("up", "refresh", "destroy")
_SIZES = (1, 10, 100, 500, 1000, 2000)


@dataclass(frozen=True)
class Summary:
    """A figure as it is kept: medians, and the result over the rounds."""

    what: str
    unit: str
    by: str
    aim: float | None
    rounds: int
    ours: float
    floor: float | None
    result: float
    met: bool | None


@dataclass
class Figure:
    """A line of the table.

    `by` says what counts: the `value` alone, its `difference` from the floor, or its `ratio` to it.
    """

    what: str
    unit: str
    by: str = "value"
    #: What it should be at most; None where nothing is aimed at.
    aim: float | None = None
    ours: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def result(self) -> float:
        """Return the median over the rounds, each paired with its own floor."""
        if self.by == "value":
            return median(self.ours)
        pairs = zip(self.ours, self.floor, strict=True)
        return median(ours - floor if self.by == "difference" else ours / floor for ours, floor in pairs)

    def summarize(self) -> Summary:
        """Return the medians, the result, and whether the aim is reached."""
        result = self.result()
        met = None if self.aim is None else result <= self.aim
        floor = median(self.floor) if self.floor else None
        return Summary(self.what, self.unit, self.by, self.aim, len(self.ours), median(self.ours), floor, result, met)


class Figures(dict[str, Figure]):
    """The figures of one part, in the order in which they were first told."""

    def add(
        self,
        what: str,
        unit: str,
        ours: float,
        floor: float | None = None,
        *,
        by: str = "value",
        aim: float | None = None,
    ) -> None:
        """Add a round's sample."""
        figure = self.setdefault(what, Figure(what, unit, by, aim))
        figure.ours.append(ours)
        if floor is not None:
            figure.floor.append(floor)


def import_cost(folder: Path, rounds: int) -> Figures:
    """Measure the import in new processes, with bytecode, as from a program's second run on."""
    figures = Figures()
    for number in range(3 * rounds + 1):
        floor = _run_timed("import pulumi")
        for package in "pulumi_cbr", "pulumi_cbr.native":
            for names in "BackupShare, BackupShareAccepter, BackupShareMember", "*":
                ours = _run_timed(f"import pulumi; from {package} import {names}")
                if not number:
                    continue
                # The package imports its names on use: all of them are what no program waits for.
                what = f"{package}: {'its resources' if names != '*' else 'all names'}, over import pulumi"
                aims = (30, 3) if names != "*" else (None, None)
                figures.add(what, "ms", ours[0], floor[0], by="difference", aim=aims[0])
                figures.add(f"memory of {what}", "MB", ours[1], floor[1], by="difference", aim=aims[1])
    return figures


_IMPORT = """
import time
began = time.perf_counter()
{}
took = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(took * 1000, int(peak.split()[1]) / 1024)
"""


def _run_timed(statement: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _IMPORT.format(statement)]
    done = subprocess.run(command, check=True, env=without_ours(), stdout=subprocess.PIPE, text=True)
    milliseconds, megabytes = map(float, done.stdout.split())
    return milliseconds, megabytes


def start_up(folder: Path, rounds: int) -> Figures:
    """Measure the first-class plugin's start, against a provider that does nothing."""
    figures = Figures()
    for number in range(3 * rounds + 1):
        floor, ours = _started("bench.nothing"), _started("pulumi_cbr.native.server")
        if number:
            figures.add("start of the first-class plugin", "ms", ours[0], floor[0], by="ratio", aim=1.15)
            figures.add("memory of the first-class plugin at its start", "MB", ours[1], floor[1], by="ratio", aim=1.15)
    return figures


def _started(module: str) -> tuple[float, float]:
    began = perf_counter()
    command = [sys.executable, "-m", module, "127.0.0.1:1"]
    with subprocess.Popen(command, cwd=ROOT, env=without_ours(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101
        port = process.stdout.readline()
        milliseconds = (perf_counter() - began) * 1000
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
    if not port.strip().isdigit():
        raise RuntimeError(f"{module} did not start")
    return milliseconds, int(status.partition("VmHWM:")[2].split()[0]) / 1024


def no_latency(folder: Path, rounds: int) -> Figures:
    """Measure 150 members of a service without latency."""
    figures = Figures()
    with simulator(0, 15) as service:
        stacks = _stacks(folder, service, ("nothing", "alike", "members"))
        for _ in range(rounds):
            for operation in "up", "destroy":
                runs = {kind: stacks[kind](operation, service.shares(15, 10), {}) for kind in stacks}
                ours = runs["members"].seconds
                what = f"150 members, {operation}"
                figures.add(what, "s", ours, runs["alike"].seconds, by="ratio", aim=1.1)
                figures.add(f"{what}, against no outputs", "s", ours, runs["nothing"].seconds, by="ratio", aim=1.1)
    return figures


def twelve_backups(folder: Path, rounds: int) -> Figures:
    """Measure 12 backups with 5 projects each, with latency: calls, seconds and the state."""
    figures = Figures()
    most = {
        # A destroy lists a backup once, to compare its shares with the state.
        "members": {"up": {"POST": 60}, "refresh": {"list": 12}, "destroy": {"list": 12, "DELETE": 60}},
        "sets": {"up": {"POST": 12}, "refresh": {"list": 12}, "destroy": {"list": 12, "DELETE": 60}},
    }
    kinds = ("nothing", "members", "sets", "native members", "native sets")
    with simulator(CALL_SECONDS, 12 * len(kinds)) as service:
        # Each kind shares backups of its own.
        shares = {kind: service.shares(12, 5, first=12 * number) for number, kind in enumerate(kinds)}
        stacks = _stacks(folder, service, kinds)
        for _ in range(rounds):
            for operation in _OPERATIONS:
                runs = {kind: stacks[kind](operation, shares[kind], {}) for kind in stacks}
                for kind, run in runs.items():
                    if kind == "nothing":
                        continue
                    what = f"12 backups with 5 projects, {kind}, {operation}"
                    figures.add(what, "s", run.seconds, runs["nothing"].seconds, by="difference")
                    # One sign-in, and nothing that is not among these.
                    counts = {"sign-in": 1, **most[kind.removeprefix("native ")][operation]}
                    for name in {**counts, **run.calls}:
                        figures.add(f"{what}: {name}", "calls", run.calls.get(name, 0), aim=counts.get(name, 0))
                if operation == "up":
                    _add_state(figures, stacks, "a pending member")
                    service.accept(shares["members"])
                elif operation == "refresh":
                    _add_state(figures, stacks, "an accepted member")
    return figures


def _add_state(figures: Figures, stacks: Mapping[str, _Runner], what: str) -> None:
    ours, floor = stacks["members"].stack.state(), stacks["nothing"].stack.state()
    size, bare = (sum(len(_compact(entry)) for entry in entries) / len(entries) for entries in (ours, floor))
    figures.add(f"state of {what}", "bytes", size, bare, by="difference", aim=400)
    figures.add(f"__provider of {what}", "bytes", len(ours[0]["inputs"]["__provider"]), aim=120)


def _compact(entry: Mapping[str, Any]) -> str:
    # Where a resource stands in which file is the engine's, and as long as the folders' names.
    kept = {name: value for name, value in entry.items() if name not in ("sourcePosition", "stackTrace")}
    return json.dumps(kept, separators=(",", ":"))


def where_it_goes(folder: Path, rounds: int) -> Figures:
    """Measure 500 backups with one project each: calls, seconds, and the plugin's memory.

    The floors are cut away one after the other: a resource that waits as long as a call takes leaves what is ours, one
    that does nothing the calls' latency, and one whose state is written once, at the end, the engine's checkpoints.
    """
    figures = Figures()
    with simulator(CALL_SECONDS, 1000) as service:
        shares, others = service.shares(500, 1), service.shares(500, 1, first=500)
        stacks = _stacks(folder, service, ("nothing", "waiting", "loaded", "members", "native members", "unchecked"))
        for _ in range(rounds):
            for operation in _OPERATIONS:
                runs = {
                    kind: run(
                        operation,
                        others if kind.startswith("native") else shares,
                        NO_CHECKPOINTS if kind == "unchecked" else {},
                    )
                    for kind, run in stacks.items()
                }
                ours, waiting, nothing = runs["members"], runs["waiting"], runs["nothing"]
                what = f"500 members, {operation}"
                figures.add(what, "s", ours.seconds)
                # A destroy compares the IDs of shares first.
                calls = 1001 if operation == "destroy" else 501
                figures.add(f"{what}: calls", "calls", sum(ours.calls.values()), aim=calls)
                figures.add(f"{what}: until the program's first line", "s", ours.start_seconds)
                figures.add(f"{what}: the program declares", "s", ours.program_seconds)
                checkpoints = nothing.seconds, runs["unchecked"].seconds
                figures.add(f"{what}: checkpoints", "s", *checkpoints, by="difference")
                figures.add(f"{what}: the calls' latency", "s", waiting.seconds, nothing.seconds, by="difference")
                figures.add(f"{what}: ours", "s", ours.seconds, waiting.seconds, by="difference")
                memory = f"memory of the plugin, {what}"
                figures.add(memory, "MB", ours.plugin_mb, nothing.plugin_mb, by="ratio", aim=1.15)
                loaded = runs["loaded"].plugin_mb
                figures.add(f"{memory}: requests and keystoneauth1", "MB", loaded, nothing.plugin_mb, by="ratio")
                figures.add(f"{memory}: ours beside them", "MB", ours.plugin_mb, loaded, by="ratio")
                native = runs["native members"]
                figures.add(f"{what}, native", "s", native.seconds)
                figures.add(f"{what}, native: calls", "calls", sum(native.calls.values()), aim=calls)
                figures.add(f"{memory}, native", "MB", native.plugin_mb, nothing.plugin_mb, by="ratio", aim=1.15)
    return figures


def growth(folder: Path, rounds: int) -> Figures:
    """Measure 1 to 2,000 members without latency, and without checkpoints."""
    figures = Figures()
    with simulator(0, max(_SIZES)) as service:
        for _ in range(rounds):
            own: dict[int, float] = {}
            for size in _SIZES:
                stacks = _stacks(folder, service, ("nothing", "members"))
                for operation in "up", "destroy":
                    shares = service.shares(size, 1)
                    runs = {kind: stacks[kind](operation, shares, NO_CHECKPOINTS) for kind in stacks}
                    ours, floor = runs["members"], runs["nothing"]
                    what = f"{size} member{'s' * (size > 1)}, {operation}"
                    figures.add(what, "s", ours.seconds, floor.seconds, by="difference")
                    cpu = ours.plugin_cpu_seconds, floor.plugin_cpu_seconds
                    figures.add(f"{what}: the plugin's processor time", "s", *cpu, by="difference")
                    if operation == "up":
                        own[size] = cpu[0] - cpu[1]
                        cpu = ours.program_cpu_seconds, floor.program_cpu_seconds
                        figures.add(f"{what}: the program's processor time", "s", *cpu, by="difference")
            for few, more, most in (100, 500, 1000), (500, 1000, 2000):
                early, late = (own[more] - own[few]) / (more - few), (own[most] - own[more]) / (most - more)
                what = f"the plugin's processor time a member, {more} to {most} against {few} to {more}"
                figures.add(what, "ms", late * 1000, early * 1000, by="ratio", aim=1.25)
    return figures


class _Runner:
    """Runs one kind of the program in a stack of its own."""

    def __init__(self, stack: Stack, kind: str) -> None:
        self.stack = stack
        self._kind = kind

    def __call__(self, operation: str, shares: Shares, env: Mapping[str, str]) -> Run:
        return self.stack.run(operation, self._kind, shares, env)


def _stacks(
    folder: Path, service: Simulator, kinds: Sequence[str], sign_in: Mapping[str, str] | None = None
) -> dict[str, _Runner]:
    env = {**environment(folder), LATENCY: str(CALL_SECONDS)}
    taken = len(list(folder.glob("stack-*")))
    # Names are in the state: all are of one length.
    return {
        kind: _Runner(
            Stack(folder / f"stack-{taken + number:03}", env, service, sign_in),
            "nothing" if kind == "unchecked" else kind.partition(",")[0],
        )
        for number, kind in enumerate(kinds)
    }


def shares_command(folder: Path, rounds: int) -> Figures:
    """Measure a list of 2,000 shares of 10,000 backups: seconds, calls, memory."""
    figures = Figures()
    for listing in listings(min(rounds, 3)):
        figures.add("shares: seconds", "s", listing.seconds)
        figures.add("shares: calls", "calls", listing.calls)
        figures.add("shares: memory", "MB", listing.memory)
    return figures


def parallel(folder: Path, rounds: int) -> Figures:
    """Measure 100 members by the resources that the engine handles at a time."""
    figures = Figures()
    kinds = ("members", "native members")
    with simulator(CALL_SECONDS, 100 * len(kinds)) as service:
        shares = {kind: service.shares(100, 1, first=100 * number) for number, kind in enumerate(kinds)}
        stacks = _stacks(folder, service, kinds)
        for _ in range(rounds):
            for count in 8, 16, 32, 64:
                # The provider makes 32 calls at once, unless the stack asks for another number.
                stacks["native members"].stack.configure("cbr:parallel", str(count))
                for operation in _OPERATIONS:
                    for kind, run in stacks.items():
                        result = run(operation, shares[kind], {"PULUMI_PARALLEL": str(count)})
                        what = f"100 {kind}, --parallel {count}, {operation}"
                        figures.add(what, "s", result.seconds)
                        figures.add(f"{what}: most calls at once", "calls", result.calls_at_once, aim=count)
    return figures


@dataclass(frozen=True)
class _Case:
    """Shares that both programs manage, and what is aimed at."""

    backups: int
    projects: int
    latency: float
    sign_in: str
    #: Of each kind, the most times Terraform's seconds for an operation.
    aims: Mapping[str, Mapping[str, float]]

    def __str__(self) -> str:
        return f"{self.backups} x {self.projects}, {self.latency * 1000:g} ms, {self.sign_in}"


def terraform(folder: Path, rounds: int) -> Figures:
    """Measure 12 backups with 5 projects beside Terraform, by sign-in."""
    sets = {"up": 1.0, "refresh": 1.0, "destroy": 1.0}
    parallel = {"up": 0.9, "refresh": 0.9, "destroy": 0.9}
    aims = {"members": {}, "sets": sets, "native members": {}, "native sets": sets, _PARALLEL: parallel, **_FLOORS}
    figures = Figures()
    for sign_in in "access keys", "password":
        _measure_beside_terraform(figures, folder / sign_in, _Case(12, 5, CALL_SECONDS, sign_in, aims), rounds)
    return figures


def terraform_latency(folder: Path, rounds: int) -> Figures:
    """Measure 12 backups with 5 projects beside Terraform, at 0 and 20 ms a call."""
    kinds = ("members", "sets", "native members", "native sets", *_FLOORS)
    figures = Figures()
    for latency in 0, 0.02:
        for sign_in in "access keys", "password":
            case = _Case(12, 5, latency, sign_in, {kind: {} for kind in kinds})
            _measure_beside_terraform(figures, folder / f"{latency:g} {sign_in}", case, rounds)
    return figures


def terraform_500(folder: Path, rounds: int) -> Figures:
    """Measure 500 backups with one project each beside Terraform."""
    aims = {
        "members": {"up": 1.0, "refresh": 1.05, "destroy": 1.0},
        "native members": {"up": 0.75, "refresh": 0.75, "destroy": 0.75},
        **_FLOORS,
    }
    figures = Figures()
    _measure_beside_terraform(figures, folder / "500", _Case(500, 1, CALL_SECONDS, "access keys", aims), rounds)
    return figures


#: More resources at a time than the engine's own default.
_PARALLEL = "native sets, --parallel 32"

#: What no resource can be faster than, by flavor: one for each backup, which only waits as long as a call takes.
_FLOORS: dict[str, Mapping[str, float]] = {"waiting": {}, "native waiting": {}}


def _measure_beside_terraform(figures: Figures, folder: Path, case: _Case, rounds: int) -> None:
    folder.mkdir()
    with simulator(case.latency, case.backups * (1 + len(case.aims))) as service:
        sign_in = service.env if case.sign_in == "password" else service.access_key_env
        # Each shares backups of its own.
        shares = [
            service.shares(case.backups, case.projects, first=case.backups * number)
            for number in range(1 + len(case.aims))
        ]
        peer = TerraformStack(folder / "terraform", service, sign_in)
        figures.add("the provider's file", "MB", peer.provider_mb)
        stacks = _stacks(folder, service, tuple(case.aims), sign_in)
        for _ in range(rounds):
            for operation in "up", "preview", "refresh", "destroy":
                theirs = peer.run(operation, shares[0])
                for number, (kind, run) in enumerate(stacks.items(), 1):
                    declared = shares[number]
                    if kind in _FLOORS:
                        declared = [(backup, projects[:1]) for backup, projects in declared]
                    parallel = {"PULUMI_PARALLEL": "32"} if kind == _PARALLEL else {}
                    ours = run(operation, declared, {LATENCY: str(case.latency), **parallel})
                    what, aim = f"{case}: {operation}, {kind}", case.aims[kind].get(operation)
                    figures.add(what, "s", ours.seconds, theirs.seconds, by="ratio", aim=aim)
                    if case.latency == CALL_SECONDS:
                        calls = sum(ours.calls.values()), sum(theirs.calls.values())
                        figures.add(f"{what}: calls", "calls", *calls, by="difference")


PARTS: dict[str, Callable[[Path, int], Figures]] = {
    "import": import_cost,
    "start-up": start_up,
    "no-latency": no_latency,
    "twelve-backups": twelve_backups,
    "where-it-goes": where_it_goes,
    "growth": growth,
    "parallel": parallel,
    "shares-command": shares_command,
    "terraform": terraform,
    "terraform-latency": terraform_latency,
    "terraform-500": terraform_500,
}
#: Parts that need binaries of the caller.
BESIDE_TERRAFORM = ("terraform", "terraform-latency", "terraform-500")
