"""Write the generated parts of the documentation, from the schema, the docstrings and the command lines.

A page says `<!-- generate: NAME ARGUMENTS -->` where a part belongs; a Sphinx extension puts the part there.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import inspect
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from unittest import mock

import pulumi_cbr
import pulumi_cbr.messages as messages_module
from pulumi_cbr.api.precedence import precedence_table
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.native import schema as native_schema

ROOT = Path(__file__).resolve().parents[2]

MARKER = re.compile(r"^<!-- generate: (\w+)((?: [\w./-]+)*) -->$", re.MULTILINE)

#: Links that lead out of docs/ in the repository, and the pages that show the same on the site.
_PAGES = (
    (re.compile(r"\]\((?:\.\./)+(?:examples/)?(\w+)/README\.md"), r"](/examples/\1.md"),
    (re.compile(r"\]\(/examples/bench\.md"), "](/explanation/benchmarks.md"),
    (re.compile(r"\]\(\.\./\.\./docs/"), "](/"),
)
#: A link to a file that is no page.
_FILE_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|/)[^)\s]+\.(?:py|json|ts|go|java|xml|yaml|svg)\)")

#: What each type of the schema is in Python, TypeScript, Go and YAML.
TYPES = {
    "string": "text",
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
}


#: The second project of the schema's examples; the owner of the simulated cloud, whose shares an inbox accepts.
_RECEIVER, _OWNER = "fedcba9876543210fedcba9876543210", "337ae8a5ed8ab6b12524f8456c9ee305"

#: IDs of the schema's examples, and those of the simulated cloud, which every other program of the site has.
_IDS = {
    "5f7b0d2c-6d0e-4f43-9a59-6a3f5d7a1c11": "0ddb0e92-50b2-49d4-bd57-35b378502536",
    "0123456789abcdef0123456789abcdef": "e991c88fb754e3862d3e981533f29aec",
    _RECEIVER: "7473ae8e90422291254a94d8449b565e",
    "9e4f0ab8-3f34-4b3d-8c0f-0b5d7a4f2e22": "4070b419-f107-46c7-b64b-9fd50092d009",
}


def snake(name: str) -> str:
    """Return a camelCase name as Python spells it."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def pascal(name: str) -> str:
    """Return a camelCase name as Go spells a field."""
    return name[0].upper() + name[1:]


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the package `cbr`."""
    found: dict[str, Any] = json.loads(native_schema.schema())
    return found


def resource(name: str) -> str:
    """Return the inputs and the outputs of a resource."""
    entry = schema()["resources"][f"cbr:index:{name}"]
    defaults = _defaults(getattr(pulumi_cbr, name).__init__)
    inputs, required = entry["inputProperties"], entry.get("requiredInputs", [])
    outputs = {key: value for key, value in entry["properties"].items() if key not in inputs}
    parts = [
        "## Inputs",
        _names_line(),
        *(
            _definition(key, value, _input_notes(key, value, required, defaults, entry))
            for key, value in sorted(inputs.items(), key=lambda item: item[0] not in required)
        ),
        "## Outputs",
        "All inputs are outputs too. In addition:",
        *(_definition(key, value, _output_notes(key, entry)) for key, value in outputs.items()),
    ]
    return "\n\n".join(parts)


def component(name: str) -> str:
    """Return the inputs and the outputs of a component."""
    entry = schema()["resources"][f"cbr:index:{name}"]
    inputs, required = entry["inputProperties"], entry["requiredInputs"]
    defaults = _defaults(getattr(pulumi_cbr, name).__init__)
    parts = [
        _names_line(),
        *(
            _definition(key, value, [_type(value), *_required(key, required, defaults)])
            for key, value in sorted(inputs.items(), key=lambda item: item[0] not in required)
        ),
        "Outputs:",
        *(_definition(key, value, [_type(value)]) for key, value in entry["properties"].items()),
    ]
    return "\n\n".join(parts)


def code(name: str, language: str) -> str:
    """Return the schema's example of a resource in a language, with the simulator's IDs."""
    description = schema()["resources"][f"cbr:index:{name}"]["description"]
    (found,) = re.findall(rf"^```{language}\n.*?^```$", description, re.MULTILINE | re.DOTALL)
    ids = _IDS if name != "AcceptPendingShares" else {**_IDS, _RECEIVER: _OWNER}
    for sample, simulated in ids.items():
        found = found.replace(sample, simulated)
    return str(found)


def function(name: str) -> str:
    """Return the arguments and the results of a look-up."""
    entry = schema()["functions"][f"cbr:index:{name}"]
    inputs, required = entry.get("inputs", {}).get("properties", {}), entry.get("inputs", {}).get("required", [])
    defaults = _defaults(getattr(pulumi_cbr, snake(name), None))
    parts = [
        "### Arguments",
        *(
            _definition(key, value, [_type(value), *(_required(key, required, defaults))])
            for key, value in sorted(inputs.items(), key=lambda item: item[0] not in required)
        ),
        "### Result",
        *(
            _definition(key, value, _output_notes(key, entry["outputs"]))
            for key, value in entry["outputs"]["properties"].items()
        ),
    ]
    return "\n\n".join(parts)


def type_(name: str) -> str:
    """Return the fields of an object that resources or look-ups return."""
    entry = schema()["types"][f"cbr:index:{name}"]
    return "\n\n".join(_definition(key, value, _output_notes(key, entry)) for key, value in entry["properties"].items())


def look_ups() -> str:
    """Return every look-up of Python: from the schema, or else from its docstring."""
    parts = []
    for name in sorted(pulumi_cbr.__all__):
        camel = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
        if not name.startswith("get_") or name.endswith("_output"):
            continue
        parts.append(f"## {name}")
        function_ = getattr(pulumi_cbr, name)
        body, parameters = _docstring(function_)
        if f"cbr:index:{camel}" in schema()["functions"]:
            parts += [f"In other languages: `{camel}`. For outputs: `{name}_output`.", body, function(camel)]
            continue
        parts += [f"For outputs: `{name}_output`. Only in Python.", body, "### Arguments"]
        for parameter in inspect.signature(function_).parameters.values():
            kind = str(parameter.annotation).removesuffix(" | None").replace("str", "text")
            parts.append(
                f"`{parameter.name}`\n: *{kind}*\\\n  {parameters.get(parameter.name, 'A filter: see above.')}"
            )
    return "\n\n".join(parts)


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring, and what it says of each parameter."""
    text = inspect.getdoc(function) or ""
    parameters = re.findall(r"^:param (\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
    body = text.partition("\n:")[0]
    return _paragraphs(body), {name: _text(meaning) for name, meaning in parameters}


def _paragraphs(text: str) -> str:
    return "\n\n".join(_text(paragraph) for paragraph in text.split("\n\n"))


def types() -> str:
    """Return every object that resources and look-ups return, with its fields."""
    parts = [
        f"## {name.rpartition(':')[2]}\n\n{_text(entry['description'])}\n\n{type_(name.rpartition(':')[2])}"
        for name, entry in schema()["types"].items()
        if "properties" in entry
    ]
    for name in pulumi_cbr.__all__:
        kind = getattr(pulumi_cbr, name)
        if dataclasses.is_dataclass(kind) and f"cbr:index:{name}" not in schema()["types"]:
            fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind))
            parts.append(f"## {name}\n\n{_paragraphs(inspect.getdoc(kind) or '')}\n\nFields: {fields}.")
    return "\n\n".join(parts)


def precedence() -> str:
    """Return the table that says which places are used with each way to sign in."""
    return precedence_table()


def settings() -> str:
    """Return the settings, with the variables that set them too."""
    variables = schema()["config"]["variables"]
    parts = []
    for name, setting in SETTINGS.items():
        notes = [TYPES[_KINDS[setting.kind]], *(["secret"] if setting.secret else [])]
        if setting.variables:
            notes.append("or " + ", ".join(f"`{variable}`" for variable in setting.variables))
        parts.append(f"`cbr:{name}`\n: *{'; '.join(notes)}*\\\n  {setting.meaning[0].upper()}{setting.meaning[1:]}.")
    for name in variables.keys() - SETTINGS.keys():
        notes = [_type(variables[name]), "first-class flavor only"]
        parts.append(f"`cbr:{name}`\n: *{'; '.join(notes)}*\\\n  {_text(variables[name]['description'])}")
    return "\n\n".join(parts)


_KINDS: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def messages() -> str:
    """Return every message for users: a sample, and what it is.

    Those that only complete a line come last.
    """
    parts, pieces = [], []
    for title, functions in message_functions().items():
        whole = [function for function in functions if not _PIECE.match(inspect.getdoc(function) or "")]
        pieces += [function for function in functions if function not in whole and sample_message(function)]
        if whole:
            parts.append(f"## {title}")
        parts += map(_message, whole)
    return "\n\n".join(
        [*parts, "## Parts of other messages", "These begin, complete or end a line:", *map(_message, pieces)]
    )


def _message(function: Callable[..., str]) -> str:
    return f"`{sample_message(function)}`\n: {_meaning(function)}"


#: What the docstring of a text says that is no line by itself.
_PIECE = re.compile(r"Return (?:(?:the|an?) (?:advice|words|suggestion|description|age|end)|the reason why|how|what)\b")


def _meaning(function: Callable[..., str]) -> str:
    """Return what a message is: its docstring, less the words for programmers."""
    text = _text((inspect.getdoc(function) or "").partition("\n\n")[0])
    text = re.sub(r"^Return (?:(?:the|an?) )?", "", text)
    return text[:1].upper() + text[1:]


def message_functions() -> dict[str, list[Callable[..., str]]]:
    """Return the public functions of the messages by the sections of their module."""
    found: dict[str, list[Callable[..., str]]] = {}
    title = ""
    for line in inspect.getsource(messages_module).splitlines():
        if line.startswith("# "):
            title = line[2:]
            found.setdefault(title, [])
        elif match := re.match(r"def ([a-z]\w*)\(", line):
            found.setdefault(title, []).append(getattr(messages_module, match[1]))
    return found


def command(module: str, *words: str) -> str:
    """Return what a command line says of itself.

    It is run in this process: another takes a second to start.
    """
    variables = {"COLUMNS": "90", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    told = io.StringIO()
    with (
        mock.patch.dict(os.environ, variables),
        mock.patch.object(sys, "argv", [module, *words, "--help"]),
        redirect_stdout(told),
    ):
        try:
            importlib.import_module(f"{module}.__main__").main()
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"{module} {' '.join(words)} --help ended with {ended.code}") from ended
    return f"```text\n{told.getvalue().rstrip()}\n```"


def other_pages() -> str:
    """Return the pages directly in docs/ that no other page lists."""
    pages = sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem not in _LISTED)
    links = [f"- [{page.read_text().partition(chr(10))[0].lstrip('# ')}](../{page.name})" for page in pages]
    names = [f"../{page.stem}" for page in pages]
    return "\n".join([*links, "", "```{toctree}", ":hidden:", "", *names, "```"])


def document(path: str) -> str:
    """Return a document of the repository as a page of the site."""
    folder = (ROOT / path).parent
    text = _FILE_LINK.sub(r"\1", (ROOT / path).read_text())
    return re.sub(r"!\[([^\]]*)\]\((?!http|/)", rf"![\1](/../{folder.relative_to(ROOT)}/", text)


def example(name: str) -> str:
    """Return an example's README and its files."""
    folder = ROOT / "examples" / name
    parts = [document(f"examples/{name}/README.md").rstrip(), "## Files"]
    files = sorted(path for path in folder.rglob("*") if not _GENERATED.intersection(path.relative_to(folder).parts))
    for file in files:
        if file.suffix in _LANGUAGES:
            parts.append(
                f"`{file.relative_to(folder)}`:\n\n```{_LANGUAGES[file.suffix]}\n{file.read_text().rstrip()}\n```"
            )
    return "\n\n".join(parts)


#: What tools write into an example.
_GENERATED = {"sdks", "target", "bin", "node_modules", "package-lock.json"}

_LANGUAGES = {".py": "python", ".ts": "typescript", ".go": "go", ".yaml": "yaml", ".json": "json", ".java": "java"}

_LISTED = ("index", "get-started", "choose-a-flavor", "_index", "installation-configuration")

PARTS: Mapping[str, Callable[..., str]] = {
    "resource": resource,
    "component": component,
    "code": code,
    "function": function,
    "look_ups": look_ups,
    "types": types,
    "messages": messages,
    "other_pages": other_pages,
    "document": document,
    "example": example,
    "precedence": precedence,
    "settings": settings,
    "command": command,
}


def fill(text: str) -> str:
    """Return a page with its generated parts in place of the markers."""
    text = MARKER.sub(lambda found: PARTS[found[1]](*found[2].split()), text)
    for link, page in _PAGES:
        text = link.sub(page, text)
    return text


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""

    def on_source_read(app: Any, name: str, source: list[str]) -> None:
        source[0] = fill(source[0])

    app.connect("source-read", on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def sample_message(function: Callable[..., str]) -> str:
    """Return a message with samples in place of its values."""
    hints = get_type_hints(function)
    samples = {name: _sample(name, hints[name]) for name in inspect.signature(function).parameters}
    return function(**{**samples, **_SAMPLES.get(function.__name__, {})}).replace("`", "'")


_SHARES = {"shares": ["project <project> (share <share_id>, pending, 4 minutes old)"]}

#: Values that say more than their names, by message.
_SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "adopted": _SHARES,
    "adoption_summary": {"left_out": {"managed": 2}},
    "already_shared": _SHARES,
    "already_shared_in_preflight": _SHARES,
    "configuration_read": {"count": 3},
    "doctor_failed": {"count": 2},
    "doctor_permissions_missing": {"count": 2},
    "drift": {"changes": [("status", "pending", "rejected")]},
    "held_twice": {"resources": ["BackupShareMember a", "BackupShare b"]},
    "more_adopted": {"count": 10},
    "no_single_vault": {"ids": ["<vault_id>", "<vault_id>"]},
    "refused": {"status": 403},
    "refused_beside_shares": _SHARES,
    "refused_with": {"status": 403},
    "shares_summary": {"shares": 4, "backups": 2, "statuses": {"pending": 3, "accepted": 1}},
    "wrong_share_id": {"project": "dest_project_id"},
}

#: Numbers that make sense together, by the names of parameters. The others are 3.
_NUMBERS = {
    "count": 11,
    "existing": 8,
    "limit": 10,
    "line": 12,
    "milliseconds": 85,
    "planned": 11,
    "seconds": 900,
    "several": 1,
    "status": 200,
    "total": 12,
    "unmanaged": 2,
    "wait": 2,
    "width": 80,
}


def _sample(name: str, hint: Any) -> Any:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return _sample(name, inner[0])
    if kind is Literal:
        return inner[0]
    if kind is tuple and Ellipsis not in inner:
        return tuple(_sample(f"{name}{number}", part) for number, part in enumerate(inner, start=1))
    if kind is type:
        return str
    if kind in (bool, int, float):
        return kind(_NUMBERS.get(name, 3))
    if isinstance(kind, type) and issubclass(kind, collections.abc.Mapping):
        return {_sample(name, inner[0]): _sample("number", inner[1])}
    if isinstance(kind, type) and issubclass(kind, collections.abc.Iterable) and kind is not str:
        return [_sample(name, inner[0])]
    return f"<{name}>"


def _names_line() -> str:
    return "Each entry has its name in Python, then in TypeScript and YAML, then in Go."


def _names(key: str) -> str:
    return " · ".join(f"`{name}`" for name in dict.fromkeys((snake(key), key, pascal(key))))


def _definition(key: str, entry: Mapping[str, Any], notes: list[str]) -> str:
    return f"{_names(key)}\n: *{'; '.join(notes)}*\\\n  {_text(entry.get('description', ''))}"


def _text(description: str) -> str:
    return re.sub(r"\s+", " ", description.replace("``", "`")).strip()


def _type(entry: Mapping[str, Any]) -> str:
    if "oneOf" in entry:
        return _type(next((kind for kind in entry["oneOf"] if "$ref" in kind), entry["oneOf"][0]))
    if "$ref" in entry:
        return _link(entry["$ref"])
    if entry.get("type") == "array":
        return f"list of {_type(entry['items'])}"
    if "additionalProperties" in entry:
        return f"map from text to {_type(entry['additionalProperties'])}"
    return TYPES[entry["type"]]


def _link(reference: str) -> str:
    name = reference.rpartition(":")[2]
    kind = schema()["types"].get(f"cbr:index:{name}", {})
    if "enum" in kind:
        return "one of " + ", ".join(f"`{entry['value']}`" for entry in kind["enum"])
    return f"[{name}](types.md#{name.lower()})"


def _defaults(function: Any) -> dict[str, Any]:
    if function is None:
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {entry.name: entry.default for entry in parameters if entry.default is not inspect.Parameter.empty}


def _required(key: str, required: list[str], defaults: Mapping[str, Any]) -> list[str]:
    if key in required:
        return ["required"]
    default = defaults.get(snake(key))
    return ["optional" if default is None else f"default `{str(default).lower()}`"]


def _input_notes(
    key: str, value: Mapping[str, Any], required: list[str], defaults: Mapping[str, Any], entry: Mapping[str, Any]
) -> list[str]:
    replaces = value.get("willReplaceOnChanges") or value.get("replaceOnChanges")
    change = "a change replaces the resource" if replaces else "changes in place"
    return [_type(value), *_required(key, required, defaults), change]


def _output_notes(key: str, entry: Mapping[str, Any]) -> list[str]:
    value = entry["properties"][key]
    return [_type(value), *([] if key in entry.get("required", []) else ["may be missing"])]
