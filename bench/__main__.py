"""Measure everything, or the parts that are named; print a table, and write results.json and results.svg here.

    python -m bench
    python -m bench --only import --only growth --rounds 3

Results of parts that are not measured this time stay as they are. The samples are in samples.json, which is not
committed. Needs Linux: memory and processor time are read from
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

from bench.measures import BESIDE_TERRAFORM, PARTS, Figures, Summary
from bench.picture import picture
from bench.terraform import find_missing

RESULTS = Path(__file__).with_name("results.json")
SAMPLES = Path(__file__).with_name("samples.json")
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
            figures = PARTS[name](Path(folder), options.rounds)
        parts[name] = [figure.summarize() for figure in figures.values()]
        console.print(_table(name, parts[name]))
        _write(parts)
        _write_samples(name, figures)
    return 0


def _table(name: str, summaries: Sequence[Summary]) -> Table:
    table = Table(title=name, title_justify="left")
    for column in "what", "rounds", "ours", "floor", "result", "aim":
        table.add_column(column, justify="left" if column == "what" else "right")
    for summary in summaries:
        table.add_row(summary.what, str(summary.rounds), *_cells(summary))
    return table


def _cells(summary: Summary) -> list[str]:
    told = {
        "value": f"{summary.result:.3g} {summary.unit}",
        "difference": f"{summary.result:+.3g} {summary.unit}",
        "ratio": f"x {summary.result:.2f}",
    }
    shown = ["" if number is None else f"{number:.4g} {summary.unit}" for number in (summary.ours, summary.floor)]
    aim = "" if summary.met is None else f"{summary.aim:g} {'ok' if summary.met else 'MISSED'}"
    return [*shown, told[summary.by], aim]


def _read() -> dict[str, list[Summary]]:
    if not RESULTS.exists():
        return {}
    stored = json.loads(RESULTS.read_text())["parts"]
    return {name: [Summary(**entry) for entry in stored[name]] for name in PARTS if name in stored}


def _write(parts: dict[str, list[Summary]]) -> None:
    ordered = {name: parts[name] for name in PARTS if name in parts}
    document = {
        "machine": {
            "processors": os.cpu_count(),
            # Processes that wanted one, ours among them, over the last 15 minutes.
            "load": os.getloadavg()[2],
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "parts": {name: [asdict(summary) for summary in summaries] for name, summaries in ordered.items()},
    }
    RESULTS.write_text(json.dumps(_rounded(document), indent=1) + "\n")
    PICTURE.write_text(picture(ordered))


def _write_samples(name: str, figures: Figures) -> None:
    samples = json.loads(SAMPLES.read_text()) if SAMPLES.exists() else {}
    samples[name] = {figure.what: {"ours": figure.ours, "floor": figure.floor} for figure in figures.values()}
    SAMPLES.write_text(json.dumps(_rounded(samples), indent=1) + "\n")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
