"""Whatever form a secret comes back in, it is in no text, no error and no repr."""

from __future__ import annotations

import base64
import html
import json
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.text import clean

#: As passwords and keys have them. Without a letter that occurs in no surrounding text, a match would be chance.
_SECRETS = st.text("abcXYZ0189!\"#$%&'()*+,-./:;<=>?@[\\]^_{|}~ äß€", min_size=8, max_size=60).map(
    lambda text: f"Q{text.strip()}Z"
)
_AROUND = st.text("abc 123.,:", max_size=20)


def _base64(text: str, before: str) -> str:
    return base64.b64encode(f"{before}{text}".encode()).decode()


#: The forms in which a service or a gateway may echo a secret. The second argument is the text before it.
FORMS: dict[str, Callable[[str, str], str]] = {
    "as it is": lambda text, before: before + text,
    "in a URL": lambda text, before: before + quote(text, safe=""),
    "in lower case escapes": lambda text, before: before + _lower_escapes(quote(text, safe="")),
    "in a query": lambda text, before: before + quote_plus(text),
    "in a URL in a URL": lambda text, before: before + quote(quote(text, safe=""), safe=""),
    "in JSON": lambda text, before: before + json.dumps(text)[1:-1],
    "in JSON, not ASCII": lambda text, before: before + json.dumps(text, ensure_ascii=False)[1:-1],
    "in JSON in JSON": lambda text, before: before + json.dumps(json.dumps(text))[1:-1],
    "in HTML": lambda text, before: before + html.escape(text),
    "in a URL in HTML": lambda text, before: before + html.escape(quote(text, safe="/&'")),
    "as numbers of HTML": lambda text, before: before + "".join(f"&#{ord(letter)};" for letter in text),
    "in base64": _base64,
    "in base64 for URLs": lambda text, before: _base64(text, before).translate(str.maketrans("+/", "-_")),
    "in base64 without its end": lambda text, before: _base64(text, before).rstrip("="),
    "in hex": lambda text, before: before + text.encode().hex(),
    "in capital hex": lambda text, before: before + text.encode().hex().upper(),
    "with line breaks": lambda text, before: before + "\n".join(textwrap.wrap(text, 5, drop_whitespace=False)),
    "in base64 with line breaks": lambda text, before: "\r\n".join(textwrap.wrap(_base64(text, before), 7)),
}


def _lower_escapes(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _compact(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30)
@given(secret=_SECRETS, before=_AROUND, after=_AROUND)
@example(secret="Qpass word&<>\"'%2F+/=Z", before="", after="")
def test_secret_is_found_in_every_form(form: str, secret: str, before: str, after: str) -> None:
    told = FORMS[form](secret, before)
    text = f"it was {told} {after}"
    result = Redactor([secret]).redact(text)
    assert "***" in result
    assert _compact(FORMS[form](secret, "")) not in _compact(result)
    # No end of it is left beside the mark either: what stays is of the text around.
    assert len(result) <= len(text) - min(len(secret), 6) + 3


@settings(max_examples=60)
@given(secret=_SECRETS, before=_AROUND, length=st.integers(6, 60))
def test_start_of_a_secret_that_is_cut_off_is_hidden(secret: str, before: str, length: int) -> None:
    start = secret[:length].rstrip(" .")
    # White space does not count: shorter starts are left.
    if len(_compact(start)) >= 6:
        assert start not in Redactor([secret]).redact(f"{before}|{start}...")


@settings(max_examples=60)
@given(secret=_SECRETS, form=st.sampled_from(sorted(FORMS)), wrapped=st.booleans())
def test_error_of_a_response_has_no_secret(secret: str, form: str, wrapped: bool) -> None:
    said = FORMS[form](secret, "")
    body = json.dumps({"error_code": said, "error_msg": said}) if wrapped else f"<title>{said}</title>{said}"
    response = ApiResponse(400, {"x-request-id": said}, body.encode(), Redactor([secret]))
    error = response.error("sharing", sign_in_advice="", action="")
    for text in (str(error), repr(error), repr(response), response.request_id, repr(vars(error))):
        assert _compact(said) not in _compact(text)
        assert _compact(secret) not in _compact(text)


@pytest.mark.parametrize("form", ["{0}", "{1}", "{2}"])
@pytest.mark.parametrize(
    ("encoding", "rest"), [("utf-8", b""), ("utf-8", b" \xff."), ("utf-8", b" \xef\xbf\xbd."), ("latin-1", b"")]
)
def test_error_of_a_response_in_any_encoding_has_no_secret(form: str, encoding: str, rest: bytes) -> None:
    """The body may mix encodings, or have been decoded before."""
    secret = "p\u00e4ss&w\u00f6rt-geheim"
    told = form.format(secret, html.escape(secret), quote(secret, encoding=encoding))
    response = ApiResponse(400, {}, f"wrong: {told}".encode(encoding) + rest, Redactor([secret]))
    assert "wrong: ***" in str(response.error("sharing", sign_in_advice="", action=""))


@settings(max_examples=200)
@given(text=st.text(max_size=60))
def test_text_without_a_secret_stays(text: str) -> None:
    assert Redactor(["Q-none-of-these-Z"]).redact(text) == text


@settings(max_examples=200)
@given(text=st.text(max_size=60))
def test_clean_text_is_printable_and_keeps_what_was(text: str) -> None:
    result = clean(text)
    assert len(result) == len(text)
    assert not any(letter in "\x1b\x07\x9b\n\r\u2028\u202e\ud800" for letter in result)
