"""Measure everything, or the parts that are named; print a table, and write results.json and results.svg beside this file.

    python -m bench
    python -m bench --only import --only growth --rounds 3

Results of parts that are not measured this time stay as they are. Needs Linux: memory and processor time are read from
/proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measures import BESIDE_TERRAFORM, PARTS, Figure, Figures
from bench.picture import picture
from bench.terraform import find_missing

RESULTS = Path(__file__).with_name("results.json")
PICTURE = Path(__file__).with_name("results.svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; the exit code says nothing of aims, which a busy machine can miss."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="What pulumi-cbr costs above the engine's floor."
    )
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (5)")
    options = parser.parse_args(arguments)
    wanted = list(options.only or PARTS)
    if missing := find_missing(os.environ):
        if refused := [name for name in wanted if name in BESIDE_TERRAFORM and options.only]:
            print(f"bench: cannot measure {refused[0]}: {missing}", file=sys.stderr)
            return 2
        wanted = [name for name in wanted if name not in BESIDE_TERRAFORM]
    console = Console(width=None if sys.stdout.isatty() else 150)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if os.getloadavg()[0] > 1:
        console.print(
            f"This machine has other things to do (load {os.getloadavg()[0]:.1f}): its seconds will say little."
        )
    if missing and not options.only:
        console.print(f"Not measured: {', '.join(BESIDE_TERRAFORM)} ({missing}).")
    parts = _read()
    for name in wanted:
        console.print(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}")
        with tempfile.TemporaryDirectory(prefix="pulumi-cbr-bench-") as folder:
            parts[name] = PARTS[name](Path(folder), options.rounds)
        console.print(_table(name, parts[name]))
        _write(parts)
    return 0


def _table(name: str, figures: Figures) -> Table:
    table = Table(title=name, title_justify="left")
    for column in "what", "rounds", "ours", "floor", "result", "aim":
        table.add_column(column, justify="left" if column == "what" else "right")
    for figure in figures.values():
        table.add_row(figure.what, str(len(figure.ours)), *_cells(figure))
    return table


def _cells(figure: Figure) -> list[str]:
    result = figure.result()
    told = {
        "value": f"{result:.3g} {figure.unit}",
        "difference": f"{result:+.3g} {figure.unit}",
        "ratio": f"x {result:.2f}",
    }
    medians = [sorted(samples)[len(samples) // 2] for samples in (figure.ours, figure.floor) if samples]
    shown = [f"{number:.4g} {figure.unit}" for number in medians]
    met = figure.met()
    aim = "" if met is None else f"{figure.aim:g} {'ok' if met else 'MISSED'}"
    return [*shown, *[""] * (2 - len(shown)), told[figure.by], aim]


def _read() -> dict[str, Figures]:
    if not RESULTS.exists():
        return {}
    stored = json.loads(RESULTS.read_text())["parts"]
    kept = {name: stored[name] for name in PARTS if name in stored}
    fields = Figure.__dataclass_fields__
    return {
        name: Figures({entry["what"]: Figure(**{key: entry[key] for key in fields}) for entry in entries})
        for name, entries in kept.items()
    }


def _write(parts: dict[str, Figures]) -> None:
    ordered = {name: parts[name] for name in PARTS if name in parts}
    document = {
        "machine": {
            "processors": os.cpu_count(),
            # Processes that wanted one, ours among them, over the last 15 minutes.
            "load": os.getloadavg()[2],
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "parts": {
            name: [{**asdict(figure), "result": figure.result(), "met": figure.met()} for figure in figures.values()]
            for name, figures in ordered.items()
        },
    }
    RESULTS.write_text(json.dumps(_rounded(document), indent=1) + "\n")
    PICTURE.write_text(picture(ordered))


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
