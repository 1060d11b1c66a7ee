"""Clean text from outside: no credentials, whatever their form, and nothing that a terminal would act on."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote, quote_plus

#: What identity services say whatever the password is: a password that has such a word does not spoil it.
_GENERIC_MESSAGES = (
    "The username or password is wrong.",
    "The request you have made requires authentication.",
)

_HIDDEN = "***"

#: Shorter ones are looked for as they are: in pieces and encoded, they would be found in any text.
_SHORTEST_SPLIT = 6
#: A shorter end of a text that is the start of a secret tells too little.
_SHORTEST_CUT = 6
#: Encodings of encodings: a URL in JSON in HTML.
_MOST_LAYERS = 5

_TOKEN = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|(?:%[0-9a-fA-F]{2})+|&#[0-9]{1,7};|&#[xX][0-9a-fA-F]{1,6};"
    r"|&[a-zA-Z]{2,8};|=\r?\n|[\s\S]"
)
_ENCODED = re.compile(r"[\\%&=+\s\x00-\x1f]|[^\x00-\x7f]")
_BASE64_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_JSON_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
#: Control, format (with bidi) and surrogate characters, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(text: str) -> str:
    """Return a text with a space for each character that a terminal may act on.

    These are control, format, bidi and surrogate characters, and line separators.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(letter) in _UNSAFE_CATEGORIES else letter for letter in text)


def one_line(text: str, limit: int) -> str:
    """Return a text as one line of at most `limit` characters, all of them printable."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


class Redactor:
    """Hide secrets in texts: as they are, and in the forms of an echo.

    These forms are URL encoding, JSON and HTML escapes and their mixtures, base64 at any offset, hex, with line breaks inside,
    and cut off at the end of the text.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(dict.fromkeys(secret for secret in secrets if secret))

    def redact(self, text: str) -> str:
        """Return a text without the secrets."""
        if not self._secrets or text in _GENERIC_MESSAGES:
            return text
        for form in self._forms:
            text = text.replace(form, _HIDDEN)
        for start, end in reversed(self._spans(text)):
            text = text[:start] + _HIDDEN + text[end:]
        return text

    def clean(self, text: str) -> str:
        """Return a text without the secrets, and without characters that a terminal would act on."""
        return clean(self.redact(text))

    @cached_property
    def _forms(self) -> list[str]:
        """The forms of the secrets that are looked for as they are, the longest first."""
        return sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)

    @cached_property
    def _compact(self) -> list[str]:
        """The secrets that are long enough to be found in pieces, without white space."""
        compact = {_without_space(form) for secret in self._secrets for form in (secret, secret.replace(" ", "+"))}
        layer = compact
        for _ in range(_MOST_LAYERS):
            # What looks like an encoding in a secret is decoded together with the encodings around it.
            layer = {_decoded(form, [(0, 0)] * len(form))[0] for form in layer}
            compact |= layer
        return [secret for secret in compact if len(secret) >= _SHORTEST_SPLIT]

    @cached_property
    def _encoded(self) -> list[str]:
        """The cores of the secrets in base64, at each offset, and in hex."""
        cores = []
        for secret in self._secrets:
            data = secret.encode("utf-8", "surrogatepass")
            if len(data) < _SHORTEST_SPLIT:
                continue
            cores += [_base64_core(data, offset) for offset in range(3)]
            cores.append(data.hex())
        return cores

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where encoded, split and cut secrets are in a text, without overlaps."""
        found: list[tuple[int, int]] = []
        letters, places = text, [(place, place + 1) for place in range(len(text))]
        for layer in range(_MOST_LAYERS):
            for start, end, is_encoded in self._matches(letters):
                first, last = places[start][0], places[end - 1][1]
                found.append(_widened(text, first, last) if is_encoded else (first, last))
            if not _ENCODED.search(letters):
                break
            # White space goes first: a secret may have what looks like an encoding.
            letters, places = _squeezed(letters, places) if not layer else _decoded(letters, places)
        return _merged(found)

    def _matches(self, letters: str) -> list[tuple[int, int, bool]]:
        matches = [(*span, False) for secret in self._compact for span in _occurrences(letters, secret)]
        matches += [(*span, False) for secret in self._compact for span in _cut(letters, secret)]
        standard = letters.replace("-", "+").replace("_", "/")
        for core in self._encoded:
            # Hex has either case, base64 has not.
            is_hex = core.islower() and not set(core) - set("0123456789abcdef")
            matches += [(*span, True) for span in _occurrences(letters.lower() if is_hex else standard, core)]
        return matches


def _forms(secret: str) -> set[str]:
    in_json = {json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    in_html = {html.escape(secret, quote=quote) for quote in (True, False)}
    data = secret.encode("utf-8", "surrogatepass")
    # Latin-1 is how a program shows it that decodes UTF-8 wrongly.
    return {secret, quote(data, safe=""), quote_plus(data), data.decode("latin-1"), *in_json, *in_html}


def _occurrences(letters: str, secret: str) -> list[tuple[int, int]]:
    spans = []
    start = letters.find(secret)
    while start >= 0:
        spans.append((start, start + len(secret)))
        start = letters.find(secret, start + len(secret))
    return spans


def _cut(letters: str, secret: str) -> list[tuple[int, int]]:
    """Return the span of a secret's start at the end of a text, or nothing."""
    shown = letters.rstrip(".…")
    for length in range(min(len(secret) - 1, len(shown)), _SHORTEST_CUT - 1, -1):
        if shown.endswith(secret[:length]):
            return [(len(shown) - length, len(shown))]
    return []


def _base64_core(data: bytes, offset: int) -> str:
    """Return the base64 letters of whole bytes of `data`, with `offset` bytes before it."""
    encoded = base64.b64encode(b"\0" * offset + data).decode()
    return encoded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]


def _squeezed(letters: str, places: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Take away all white space, and return the place in the text of each letter that stays."""
    kept = [(letter, place) for letter, place in zip(letters, places, strict=True) if not _is_space(letter)]
    return "".join(letter for letter, _ in kept), [place for _, place in kept]


def _decoded(letters: str, places: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Take away one layer of encoding and all white space.

    Return the letters that stay, and the place in the text of each.
    """
    result: list[str] = []
    kept: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(letters):
        place = places[match.start()][0], places[match.end() - 1][1]
        for letter in _decode(match.group()):
            if not _is_space(letter):
                result.append(letter)
                kept.append(place)
    return "".join(result), kept


def _decode(token: str) -> str:
    if len(token) == 1:
        return token
    if token[0] == "%":
        return bytes.fromhex(token.replace("%", "")).decode("utf-8", "replace")
    if token[0] == "&":
        return html.unescape(token)
    if token[0] == "=":
        return ""
    if token[1] in "ux" and len(token) > 2:
        return chr(int(token[2:], 16))
    return _JSON_ESCAPES.get(token[1], token[1])


def _widened(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the whole run of base64 around a match. The letters beside it hold bits of it."""
    while start > 0 and text[start - 1] in _BASE64_LETTERS:
        start -= 1
    while end < len(text) and text[end] in _BASE64_LETTERS:
        end += 1
    return start, end


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _without_space(text: str) -> str:
    return "".join(letter for letter in text if not _is_space(letter))


def _is_space(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf")
