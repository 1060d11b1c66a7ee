"""The pages that users read, and the programs and commands in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Pages whose blocks are programs (`python`) and commands (`sh`); other languages are not run from here.
#: The Pulumi Registry's pages are written and checked with the schema.
PAGES = (
    "README.md",
    *sorted(
        str(page.relative_to(ROOT))
        for page in (ROOT / "docs").rglob("*.md")
        if page.name not in ("_index.md", "installation-configuration.md")
    ),
)


def read(page: str) -> str:
    """Return the text of a page, by its path in the repository."""
    return (ROOT / page).read_text()


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page in a language."""
    return code_blocks(read(page), language)


def code_blocks(text: str, language: str) -> list[str]:
    """Return the code of a text in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def programs(page: str) -> list[str]:
    """Return the Python programs of a page."""
    return blocks(page, "python")


def commands(page: str) -> list[str]:
    """Return the shell commands of a page, block by block."""
    return blocks(page, "sh")
