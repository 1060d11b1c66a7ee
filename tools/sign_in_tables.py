"""Write the README's tables of the settings and of their precedence, which come from the code: ``python tools/sign_in_tables.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pulumi_cbr.api.definitions import SETTINGS
from pulumi_cbr.api.precedence import precedence_table

README = Path(__file__).resolve().parents[1] / "README.md"


def settings_table() -> str:
    """Return the table of the settings."""
    rows = ["| `cbr:` | environment | meaning |", "| --- | --- | --- |"]
    for name, setting in SETTINGS.items():
        variables = ", ".join(f"`{variable}`" for variable in setting.variables)
        rows.append(f"| `{name}` | {variables} | {setting.meaning}{' (secret)' if setting.secret else ''} |")
    return "\n".join([*rows, "| `parallel` | | calls at once of the first-class provider (32) |"])


def written(text: str) -> str:
    """Return the README with both tables as the code has them."""
    for first, table in (
        (r"\| what signs in \| what is used, in this order \|", precedence_table()),
        (r"\| `cbr:` \| environment \| meaning \|", settings_table()),
    ):
        match = re.search(rf"^{first}\n(\|.*\n)*", text, re.MULTILINE)
        if match is None:
            raise ValueError(f"the README has no table that begins with {first}")
        text = f"{text[: match.start()]}{table}\n{text[match.end() :]}"
    return text


if __name__ == "__main__":
    found = README.read_text()
    if "--check" in sys.argv:
        sys.exit(0 if written(found) == found else "README.md is not up to date: run python tools/sign_in_tables.py")
    README.write_text(written(found))
