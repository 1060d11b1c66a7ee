"""Clean text from outside of what a terminal would act on."""

from __future__ import annotations

import unicodedata

#: Control, format (with bidi) and surrogate characters, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: The surrogates in place of bytes that are not UTF-8, and the same bytes as Latin-1.
_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def decode(data: bytes) -> str:
    """Return bytes as UTF-8 text. Those that are not UTF-8 count as Latin-1."""
    return data.decode(errors="surrogateescape").translate(_LATIN_1)


def clean(text: str) -> str:
    """Return a text with a space for each character that a terminal may act on.

    These are control, format, bidi and surrogate characters, and line separators.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character) in _UNSAFE_CATEGORIES else character for character in text)


def one_line(text: str, limit: int) -> str:
    """Return a text as one line of at most `limit` characters, all of them printable."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
