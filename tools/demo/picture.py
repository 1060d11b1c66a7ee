"""Record `make demo` as the picture of the README: docs/_static/demo.svg. Run it with the engine on PATH."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "_static" / "demo.svg"
COLUMNS = 118

#: The steps that the picture shows, and the lines of them that differ from run to run. Durations are left out too.
STEPS = (1, 2, 6, 8)
NOISE = re.compile(
    r"^\s*(?:Previewing|Updating|Refreshing|Destroying|Duration:|The resources in the stack|have not been|If you want)"
)


def record() -> str:
    """Return what the demo writes to a terminal. Raises CalledProcessError if it fails."""
    terminal, end = pty.openpty()
    demo = subprocess.Popen([sys.executable, str(ROOT / "tools/demo/demo.py")], stdout=end, stderr=end)
    os.close(end)
    output = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux reports the end of a terminal as an error.
            chunk = b""
        if not chunk:
            break
        output += chunk
    os.close(terminal)
    if demo.wait():
        raise subprocess.CalledProcessError(demo.returncode, "demo", output)
    return output.decode().replace("\r\n", "\n")


def cut(output: str) -> str:
    """Return the steps of the picture, without lines that differ from run to run."""
    steps = re.split(r"^(?=== \d+\.)", output, flags=re.MULTILINE)
    kept = [step for step in steps if (found := re.match(r"== (\d+)\.", step)) and int(found[1]) in STEPS]
    lines = [line for step in kept for line in step.partition("\nAll ")[0].rstrip().splitlines()]
    shown: list[str] = []
    for line in lines:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        blank = not plain.strip()
        if not NOISE.match(plain) and not (blank and (not shown or not shown[-1].strip())):
            shown.append("" if blank else re.sub(r" \([\d.]+s\)", "", re.sub(r"demo-\d+", "demo", line)))
        if plain.startswith("-- checked"):
            shown.append("")
    return "\n".join(shown).strip()


def draw(output: str) -> str:
    """Return the terminal as SVG, without fonts from other hosts."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(output))
    svg = console.export_svg(title="make demo", unique_id="demo")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(draw(cut(record())))
