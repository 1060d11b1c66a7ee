"""Hide credentials in text from outside, whatever their form."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote, quote_plus

from pulumi_cbr.api.text import clean, decode

#: Fixed messages: shown whole, even if the password is a word of them, such as `password`.
_GENERIC_MESSAGES = (
    "The username or password is wrong.",
    "The request you have made requires authentication.",
)

_HIDDEN = "***"

#: Shorter ones are looked for as they are: in pieces and encoded, they would be found in any text.
_MIN_SPLIT_LENGTH = 6
#: A secret that is cut off is hidden if at least this many characters are left.
_MIN_CUT_LENGTH = 6
#: Encodings of encodings: a URL in JSON in HTML.
_MAX_LAYERS = 5

_TOKEN = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|(?:%[0-9a-fA-F]{2})+|&#[0-9]{1,7};|&#[xX][0-9a-fA-F]{1,6};"
    r"|&[a-zA-Z]{2,8};|=\r?\n|[\s\S]"
)
_ENCODED = re.compile(r"[\\%&=+\s\x00-\x1f]|[^\x00-\x7f]")
_BASE64_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_JSON_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


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
        for start, end in reversed(self._find_spans(text)):
            text = text[:start] + _HIDDEN + text[end:]
        return text

    def clean(self, text: str) -> str:
        """Return a text without the secrets, and without characters that a terminal would act on."""
        return clean(self.redact(text))

    @cached_property
    def _forms(self) -> list[str]:
        """The forms of the secrets that are looked for as they are, the longest first."""
        return sorted({form for secret in self._secrets for form in _text_forms(secret)}, key=len, reverse=True)

    @cached_property
    def _long_secrets(self) -> list[str]:
        """The secrets that are long enough to be found in pieces, without white space."""
        compact = {_strip_whitespace(form) for secret in self._secrets for form in (secret, secret.replace(" ", "+"))}
        layer = compact
        for _ in range(_MAX_LAYERS):
            # What looks like an encoding in a secret is decoded together with the encodings around it.
            layer = {_decode_layer(form, [(0, 0)] * len(form))[0] for form in layer if _ENCODED.search(form)} - compact
            compact = compact | layer
        return [secret for secret in compact if len(secret) >= _MIN_SPLIT_LENGTH]

    @cached_property
    def _byte_forms(self) -> list[str]:
        """The cores of the secrets in base64, at each offset, and in hex."""
        cores = []
        for secret in self._secrets:
            data = secret.encode("utf-8", "surrogatepass")
            if len(data) < _MIN_SPLIT_LENGTH:
                continue
            cores += [_base64_core(data, offset) for offset in range(3)]
            cores.append(data.hex())
        return cores

    def _find_spans(self, text: str) -> list[tuple[int, int]]:
        """Return where encoded, split and cut secrets are in a text, without overlaps."""
        found: list[tuple[int, int]] = []
        characters, positions = text, [(position, position + 1) for position in range(len(text))]
        for layer in range(_MAX_LAYERS):
            for start, end, is_encoded in self._find_matches(characters):
                first, last = positions[start][0], positions[end - 1][1]
                found.append(_widen_to_base64(text, first, last) if is_encoded else (first, last))
            if not _ENCODED.search(characters):
                break
            # White space goes first: a secret may have what looks like an encoding.
            characters, positions = (
                _remove_whitespace(characters, positions) if not layer else _decode_layer(characters, positions)
            )
        return _merge_spans(found)

    def _find_matches(self, characters: str) -> list[tuple[int, int, bool]]:
        matches = [(*span, False) for secret in self._long_secrets for span in _find_all(characters, secret)]
        matches += [(*span, False) for secret in self._long_secrets for span in _find_cut_off(characters, secret)]
        standard = characters.replace("-", "+").replace("_", "/")
        for core in self._byte_forms:
            # Hex has either case, base64 has not.
            is_hex = core.islower() and not set(core) - set("0123456789abcdef")
            matches += [(*span, True) for span in _find_all(characters.lower() if is_hex else standard, core)]
        return matches


def _text_forms(secret: str) -> set[str]:
    in_json = {json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    in_html = {html.escape(secret, quote=quote) for quote in (True, False)}
    data = secret.encode("utf-8", "surrogatepass")
    # Latin-1 is how a program shows it that decodes UTF-8 wrongly.
    return {secret, quote(data, safe=""), quote_plus(data), data.decode("latin-1"), *in_json, *in_html}


def _find_all(characters: str, secret: str) -> list[tuple[int, int]]:
    spans = []
    start = characters.find(secret)
    while start >= 0:
        spans.append((start, start + len(secret)))
        start = characters.find(secret, start + len(secret))
    return spans


def _find_cut_off(characters: str, secret: str) -> list[tuple[int, int]]:
    """Return the span of a secret's start at the end of a text, or nothing."""
    shown = characters.rstrip(".…")
    for length in range(min(len(secret) - 1, len(shown)), _MIN_CUT_LENGTH - 1, -1):
        if shown.endswith(secret[:length]):
            return [(len(shown) - length, len(shown))]
    return []


def _base64_core(data: bytes, offset: int) -> str:
    """Return the base64 characters of whole bytes of `data`, with `offset` bytes before it."""
    encoded = base64.b64encode(b"\0" * offset + data).decode()
    return encoded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]


def _remove_whitespace(characters: str, positions: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Remove all white space; return the position in the text of each character that stays."""
    kept = [
        (character, position)
        for character, position in zip(characters, positions, strict=True)
        if not _is_whitespace(character)
    ]
    return "".join(character for character, _ in kept), [position for _, position in kept]


def _decode_layer(characters: str, positions: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Remove one layer of encoding and all white space.

    Return the characters that stay, and the position in the text of each.
    """
    result: list[str] = []
    kept: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(characters):
        position = positions[match.start()][0], positions[match.end() - 1][1]
        for character in _decode_token(match.group()):
            if not _is_whitespace(character):
                result.append(character)
                kept.append(position)
    return "".join(result), kept


def _decode_token(token: str) -> str:
    if len(token) == 1:
        return token
    if token[0] == "%":
        return decode(bytes.fromhex(token.replace("%", "")))
    if token[0] == "&":
        return html.unescape(token)
    if token[0] == "=":
        return ""
    if token[1] in "ux" and len(token) > 2:
        return chr(int(token[2:], 16))
    return _JSON_ESCAPES.get(token[1], token[1])


def _widen_to_base64(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the whole run of base64 around a match. The characters beside it hold bits of it."""
    while start > 0 and text[start - 1] in _BASE64_LETTERS:
        start -= 1
    while end < len(text) and text[end] in _BASE64_LETTERS:
        end += 1
    return start, end


def _merge_spans(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _strip_whitespace(text: str) -> str:
    return "".join(character for character in text if not _is_whitespace(character))


def _is_whitespace(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")
