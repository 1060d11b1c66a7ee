"""The progress bar."""

from __future__ import annotations

import io

import pytest

from pulumi_cbr.shares.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_adds_up_and_clears_its_line() -> None:
    terminal = Terminal()
    times = iter([0.0, 0.05, 0.2])
    with Bar(terminal, clock=lambda: next(times)) as bar:
        one, two = bar.part(), bar.part()
        one(1, 10)
        two(1, 30)
        two(19, 30)
    lines = terminal.getvalue().split("\r")
    # The second report came too soon after the first.
    assert [line.partition(" ")[2] for line in lines[1:-1]] == ["1 of 10 backups\x1b[K", "20 of 40 backups\x1b[K"]
    assert lines[2].startswith("█" * 15 + "░" * 15)
    assert lines[-1] == "\x1b[K"


@pytest.mark.parametrize("total", [0, 5])
def test_bar_is_silent_if_nobody_looks(total: int) -> None:
    file = io.StringIO()
    with Bar(file) as bar:
        bar.part()(total, total)
    assert file.getvalue() == ""
