"""The picture of the README: bars in plain SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from bench.measures import Summary

_WIDTH, _LEFT, _RIGHT, _ROW = 760, 200, 70, 26

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.small { font-size: 11px }
.ours { fill: #1a7f37 } .floor { fill: #8c959f } .start { fill: #6e7781 } .program { fill: #afb8c1 }
.engine { fill: #8c959f } .checkpoints { fill: #57606a } .calls { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d1d9 }
  .ours { fill: #3fb950 } .floor { fill: #6e7681 } .start { fill: #8b949e } .program { fill: #b1bac4 }
  .engine { fill: #6e7681 } .checkpoints { fill: #484f58 } .calls { fill: #58a6ff }
}
"""

#: Where the seconds of 500 members go: the class of the bar's piece, and its name in the figures.
_PIECES = {
    "start": "until the program's first line",
    "program": "the program declares",
    "checkpoints": "checkpoints",
    "calls": "the calls' latency",
    "ours": "ours",
}


def picture(parts: Mapping[str, Sequence[Summary]]) -> str:
    """Draw what there is of the parts without latency and with 500 members."""
    drawing = _Drawing()
    if "no-latency" in parts:
        drawing.title("150 members, a service that answers at once: seconds, against a resource that does nothing")
        pairs = [summary for summary in parts["no-latency"] if summary.what.count(",") == 1]
        longest = max(max(summary.ours, summary.floor or 0) for summary in pairs)
        for summary in pairs:
            label = summary.what.rpartition(" ")[2]
            ours, floor = summary.ours, summary.floor or 0
            drawing.bar(f"{label}, does nothing", [("floor", floor)], longest, f"{floor:.1f} s")
            drawing.bar(f"{label}, ours", [("ours", ours)], longest, f"{ours:.1f} s, x {summary.result:.2f}")
    if "where-it-goes" in parts:
        drawing.title("500 members, 100 ms a call: where the seconds go")
        results = {summary.what: summary.result for summary in parts["where-it-goes"]}
        operations = [what.partition(", ")[2] for what in results if what.count(",") == 1 and ":" not in what]
        longest = max(results[f"500 members, {name}"] for name in operations)
        for name in operations:
            what = f"500 members, {name}"
            total = results[what]
            pieces = {piece: max(0.0, results[f"{what}: {words}"]) for piece, words in _PIECES.items()}
            rest = max(0.0, total - sum(pieces.values()))
            order = [
                (piece, pieces.get(piece, rest))
                for piece in ("start", "program", "engine", "checkpoints", "calls", "ours")
            ]
            drawing.bar(name, order, longest, f"{total:.1f} s")
        drawing.legend(
            {
                "start": "start",
                "program": "program",
                "engine": "engine",
                "checkpoints": "checkpoints",
                "calls": "calls' latency",
                "ours": "ours",
            }
        )
    return drawing.svg()


class _Drawing:
    def __init__(self) -> None:
        self._y = 8
        self._lines: list[str] = []

    def title(self, text: str) -> None:
        self._y += 32
        self._text(12, text, "title")
        self._y += 8

    def bar(self, label: str, pieces: list[tuple[str, float]], longest: float, note: str) -> None:
        self._y += _ROW
        self._text(12, label)
        x = float(_LEFT)
        for kind, value in pieces:
            width = value / longest * (_WIDTH - _LEFT - _RIGHT - 50)
            self._lines.append(f'<rect class="{kind}" x="{x:.1f}" y="{self._y - 13}" width="{width:.1f}" height="17"/>')
            x += width
        self._text(x + 6, note, "small")

    def legend(self, names: Mapping[str, str]) -> None:
        self._y += 30
        x = 12
        for kind, name in names.items():
            self._lines.append(f'<rect class="{kind}" x="{x}" y="{self._y - 10}" width="12" height="12"/>')
            self._text(x + 17, name, "small")
            x += 34 + 7 * len(name)

    def svg(self) -> str:
        size = f'width="{_WIDTH}" height="{self._y + 16}" viewBox="0 0 {_WIDTH} {self._y + 16}"'
        body = "\n".join(self._lines)
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{_STYLE}</style>\n{body}\n</svg>\n'

    def _text(self, x: float, text: str, kind: str = "") -> None:
        self._lines.append(f'<text class="{kind}" x="{x:.1f}" y="{self._y}">{escape(text)}</text>')
