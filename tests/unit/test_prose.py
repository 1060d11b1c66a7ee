"""The counter of the writing rules notices what it is for."""

from __future__ import annotations

import ast

import pytest

from tools import prose


@pytest.mark.parametrize(("word", "verb"), [("Return", True), ("Give", False), ("What", False), ("raise", True)])
def test_is_verb_knows_imperatives(word: str, verb: bool) -> None:
    assert prose.is_verb(word) is verb


def test_counts_find_each_kind_of_place(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'''
"""Hold what a shop knows."""
cache = {{}}
LIMITS = {{"a": 1}}

class Shop:
    """{"A shop that has a very long first line of its docstring " * 2}"""

    @property
    def name(self):
        """The name."""

def test_{"x" * 60}():
    pass

def sell(a, b, c, d, e, f, g):
    """Give away anew."""
    global cache
    {"; ".join(["x = 1 if a else 2"] * 11)}
{"    pass" + chr(10) * 46}    pass
'''
    path = prose.ROOT / "provider" / "shop.py"
    monkeypatch.setattr(prose, "sources", lambda *_: iter([(path, ast.parse(text))]))
    monkeypatch.setattr(prose, "sentences", lambda: iter([("page", "It goes by " + "word " * 25)]))

    def found(name: str) -> list[str]:
        return [told for _, told in prose.COUNTS[name]()]

    assert found("docstrings") == ["Give away anew."]
    assert len(found("long docstrings")) == 1
    assert [told.partition(":")[0] for told in found("long functions")] == ["sell"]
    assert found("branches") == ["sell: 11 branches"]
    assert found("parameters") == ["sell: 7 parameters"]
    assert found("test names") == ["test_" + "x" * 60]
    assert found("globals") == ["cache", "global cache"]
    assert [told.partition(":")[0] for told in found("sentences")] == ["28 words"]
    assert [told.partition(":")[0] for told in found("words")] == ["goes by", "anew"]


def test_glossary_is_short() -> None:
    assert 5 <= len(list(prose.glossary())) <= prose.LIMITS["glossary"]
