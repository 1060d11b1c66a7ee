"""Count what a machine can see of the writing rules: docstrings, functions, globals, messages, sentences, subjects.

`python tools/prose.py` prints each count beside its limit and fails if one is over; `--list NAME` prints the places.
The limits only go down: a change that lowers a count lowers its limit.
"""

from __future__ import annotations

import argparse
import ast
import gc
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "provider")]

#: How many places of each kind there may be.
LIMITS = {
    "docstrings": 0,
    "long docstrings": 0,
    "long functions": 0,
    "branches": 0,
    "parameters": 0,
    "globals": 0,
    "messages": 0,
    "glossary": 10,
    "sentences": 0,
    "words": 0,
    "subjects": 4,
    "test names": 0,
}

MAX_LINES, MAX_BRANCHES, MAX_PARAMETERS = 45, 10, 6
MAX_SUMMARY, MAX_MESSAGE, MAX_SENTENCE, MAX_SUBJECT, MAX_TEST_NAME = 88, 250, 25, 72, 60

#: The commit from which on subjects are short.
SINCE = "386acdc"

_VERBS = """
    accept act add adopt allow announce answer append apply approve ask assert assign attach authenticate await begin block bound
    break build cache calculate call cancel change check choose clean clear close collect combine compare complete compute configure
    connect consume continue convert copy count create cut deal declare decide declare decode decorate delete deny derive describe
    destroy detach detect determine disable display draw drop emit empty enable encode end ensure enter evict exclude execute exit
    expand expect expire explain export expose extend extract fail fetch fill filter find finish fix flatten follow forget format
    forward generate get group guess handle hash hide hold honor identify ignore import include infer initialize inject insert
    install intercept interpret invalidate invoke issue join keep kill know leave let limit link list listen load lock log look
    make map mark match measure merge mock move name normalize note notice notify observe offer omit open order overwrite pack
    pair parse pass patch pause pick place plan play poll postpone preload prepare present pretend prevent preview print process
    produce promise protect prove provide publish pull put query queue quote raise read rebuild receive recognize record recover
    redact redirect reduce refer refresh refuse register reject release reload remember remove rename render renew repeat replace
    reply report request require reread reserve reset resolve respond restore restrict retry return reuse revoke rewrite roll
    route run sample save scan search select send serialize serve set share shorten show shut sign silence simulate skip sleep
    sort spell split start stop store strip submit substitute suggest summarize suppress swap switch take tear terminate test
    throttle time touch track transform translate trim try turn undo unlock unpack update upgrade use validate verify wait walk
    warn watch wrap write yield
"""
VERBS = frozenset(_VERBS.split())
NOT_FIRST = frozenset(("give", "tell", "say", "do", "what", "who", "whose", "how"))

#: Words and phrases that rule 14 leaves out.
FORBIDDEN = re.compile(
    r"\b(?:anew|by then|on (?:its|their) way|stands|is over (?:the|OS_|HW_)|goes by|takes? \w+ for|(?:is|are|be) taken for|makes? known"
    r"|a setting that there is not)\b",
    re.IGNORECASE,
)

Place = tuple[str, str]
Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Yield the Python files below some folders with their trees."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path, parse(path)


@cache
def parse(path: Path) -> ast.Module:
    """Return the tree of a file, which several counts read."""
    return ast.parse(path.read_text())


@cache
def definitions(tree: ast.Module) -> list[Definition]:
    """Return the module and its classes and functions, inner ones too."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def is_verb(word: str) -> bool:
    """Return whether a word is an imperative verb of the list."""
    return word.lower() in VERBS


def bad_docstrings() -> Iterator[Place]:
    """Yield docstrings of functions without a verb first, and of classes without a noun."""
    for path, node, text in _documented():
        word = re.split(r"\W", text.strip("`").strip(), maxsplit=1)[0].lower()
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_noun(node)
        bad = not is_verb(word) if is_function else word in NOT_FIRST
        if bad:
            yield _place(path, node), text.partition("\n")[0]


def long_docstrings() -> Iterator[Place]:
    """Yield docstrings with a first line over the limit."""
    for path, node, text in _documented():
        first = text.partition("\n")[0]
        if len(first) > MAX_SUMMARY and not isinstance(node, ast.Module):
            yield _place(path, node), first


def long_functions() -> Iterator[Place]:
    """Yield functions with too many lines."""
    for path, node in _functions():
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        documentation = (ast.get_docstring(node) or "").count("\n") + 1
        if lines - documentation > MAX_LINES:
            yield _place(path, node), f"{node.name}: {lines - documentation} lines"


def branches() -> Iterator[Place]:
    """Yield functions with too many branches."""
    kinds = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.match_case, ast.comprehension)
    for path, node in _functions():
        count = sum(isinstance(inner, kinds) for inner in ast.walk(node))
        if count > MAX_BRANCHES:
            yield _place(path, node), f"{node.name}: {count} branches"


def parameters() -> Iterator[Place]:
    """Yield functions with too many parameters, other than constructors of resources."""
    for path, node in _functions():
        names = [entry.arg for entry in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > MAX_PARAMETERS and "opts" not in names and not node.name.startswith("get_backups"):
            yield _place(path, node), f"{node.name}: {count} parameters"


def mutable_globals() -> Iterator[Place]:
    """Yield module names that hold a mutable object, and `global` statements."""
    for path, tree in sources("provider"):
        for node in tree.body:
            value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            name = next((target.id for target in targets if isinstance(target, ast.Name)), "")
            if value is not None and _is_mutable(value) and not name.lstrip("_").isupper() and name != "__all__":
                yield _place(path, node), name
        for inner in ast.walk(tree):
            if isinstance(inner, ast.Global):
                yield _place(path, inner), f"global {', '.join(inner.names)}"


def long_messages() -> Iterator[Place]:
    """Yield messages with sample values that are too long, or more than one line."""
    for place, text in _messages():
        if len(re.sub(r"<\w+>", "", text)) > MAX_MESSAGE or "\n" in text:
            yield place, text


def glossary() -> Iterator[Place]:
    """Yield the entries of the glossary in CONTRIBUTING.md."""
    _, _, section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Glossary")
    for name, meaning in re.findall(r"^\| `?([^|`]+)`? \| ([^|]+) \|$", section.partition("\n## ")[0], re.MULTILINE):
        if name.strip() not in ("name", "---"):
            yield name.strip(), meaning


def long_sentences() -> Iterator[Place]:
    """Yield sentences of the documentation that are too long."""
    for page, sentence in sentences():
        words = [word for word in sentence.split() if re.search(r"\w", word)]
        if len(words) > MAX_SENTENCE:
            yield page, f"{len(words)} words: {sentence}"


def forbidden_words() -> Iterator[Place]:
    """Yield words of documentation, messages and docstrings that the rules leave out."""
    for page, sentence in (*sentences(), *_messages()):
        if found := FORBIDDEN.search(sentence):
            yield page, f"{found[0]}: {sentence}"
    for path, node, text in _documented():
        if found := FORBIDDEN.search(text):
            yield _place(path, node), f"{found[0]}: {text.partition(chr(10))[0]}"


def long_subjects() -> Iterator[Place]:
    """Yield subjects of commits that are too long. A clone without the history has none."""
    told = subprocess.run(
        ["git", "log", "--format=%h %s", f"{SINCE}..HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for line in told.stdout.splitlines():
        name, _, subject = line.partition(" ")
        if len(subject) > MAX_SUBJECT:
            yield name, subject


def long_test_names() -> Iterator[Place]:
    """Yield names of tests that are too long."""
    for path, tree in sources("tests"):
        for node in definitions(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > MAX_TEST_NAME:
                yield _place(path, node), node.name


COUNTS: dict[str, Callable[[], Iterator[Place]]] = {
    "docstrings": bad_docstrings,
    "long docstrings": long_docstrings,
    "long functions": long_functions,
    "branches": branches,
    "parameters": parameters,
    "globals": mutable_globals,
    "messages": long_messages,
    "glossary": glossary,
    "sentences": long_sentences,
    "words": forbidden_words,
    "subjects": long_subjects,
    "test names": long_test_names,
}


def main() -> int:
    """Print the counts, or the places of one; return 1 if a count is over its limit."""
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", choices=COUNTS, action="append", default=[], help="print the places of one count")
    chosen = parser.parse_args().list
    for name in chosen:
        for place, text in COUNTS[name]():
            print(f"{place}: {text}")
    if chosen:
        return 0
    over = False
    for name, find in COUNTS.items():
        count = len(list(find()))
        over |= count > LIMITS[name]
        print(f"{name:16} {count:4}  limit {LIMITS[name]:4}{'  OVER: see --list' if count > LIMITS[name] else ''}")
    return int(over)


def _messages() -> Iterator[Place]:
    """Yield the texts for users, with sample values."""
    from pulumi_cbr import messages
    from tools.docs import reference

    for functions in reference.message_functions().values():
        for function in functions:
            yield f"messages.{function.__name__}", reference.sample_message(function)
    for code, text in {**messages.ADVICE_BY_CODE, **messages.ADVICE_BY_GATEWAY_CODE}.items():
        yield f"messages, advice for {code}", text


def _documented() -> Iterator[tuple[Path, ast.AST, str]]:
    """Yield the docstrings of all code but tests' own, whose names already say what they do."""
    for path, tree in sources("provider", "tests", "tools", "bench"):
        for node in definitions(tree):
            text = ast.get_docstring(node)
            if text and not getattr(node, "name", "").startswith("test_"):
                yield path, node, text


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in sources("provider"):
        for node in definitions(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path, node


def _is_noun(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is read as a thing: a property or a fixture."""
    return any("property" in (text := ast.unparse(entry)) or "fixture" in text for entry in node.decorator_list)


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)):
        return True
    made = {"dict", "list", "set", "defaultdict", "deque", "Lock", "RLock", "local", "WeakKeyDictionary", "Counter"}
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in made


def sentences() -> Iterator[tuple[str, str]]:
    """Yield the sentences of the documentation, without code and links."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in (*pages, *sorted(ROOT.glob("examples/*/README.md"))):
        page = str(path.relative_to(ROOT))
        text = re.sub(r"^ *(`{3,}|:{3,}).*?^ *\1$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^(?: {4,}(?![-*\d]).*|<!--.*)$", "", text, flags=re.MULTILINE)
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        text = re.sub(r"`[^`\n]*`", "`code`", text)
        for block in re.split(r"\n\s*\n|^(?=\s*(?:[-*#]|\d+\.) )|\|", text, flags=re.MULTILINE):
            for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(block.split())):
                if sentence:
                    yield page, sentence


def _place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


if __name__ == "__main__":
    # The trees stay until the end: looking for garbage in them takes as long as the rest.
    gc.disable()
    sys.exit(main())
