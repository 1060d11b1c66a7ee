"""The schema is in step with the classes that a Python program uses, and says what everything is."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi
import pytest

import pulumi_cbr as dynamic
import pulumi_cbr.native as native
import pulumi_cbr_native
from fake_clouds import BACKUP, OWN
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import Backup, Member
from pulumi_cbr.api.names import to_camel, to_snake
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.native.provider import CONTROLLERS
from pulumi_cbr.native.schema import check_arguments, schema

SCHEMA = json.loads(schema())
ALL = {name.rpartition(":")[2]: entry for name, entry in SCHEMA["resources"].items()}
RESOURCES = {name: entry for name, entry in ALL.items() if not entry.get("isComponent")}
COMPONENTS = {name: entry for name, entry in ALL.items() if entry.get("isComponent")}
FUNCTIONS = {name.rpartition(":")[2]: entry for name, entry in SCHEMA["functions"].items()}


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """Return a function's arguments, without those that all resources or look-ups have."""
    ignored = (
        ("self", "opts")
        if inspect.signature(function).return_annotation != "None"
        else ("self", "opts", "resource_name")
    )
    known = inspect.signature(function).parameters
    return {name: known[name] for name in known if name not in ignored}


def required(function: Any) -> list[str]:
    return [name for name, entry in parameters(function).items() if entry.default is inspect.Parameter.empty]


@pytest.mark.parametrize("name", RESOURCES)
def test_arguments_of_a_resource_are_the_same_everywhere(name: str) -> None:
    inputs, needed = RESOURCES[name]["inputProperties"], RESOURCES[name]["requiredInputs"]
    for flavor in (native, dynamic):
        constructor = getattr(flavor, name).__init__
        assert [to_snake(entry) for entry in inputs] == list(parameters(constructor)) or flavor is dynamic
        assert {to_snake(entry) for entry in inputs} == set(parameters(constructor))
        assert [to_snake(entry) for entry in needed] == required(constructor)


@pytest.mark.parametrize("name", COMPONENTS)
def test_arguments_of_a_component_are_the_same_everywhere(name: str) -> None:
    inputs, needed = COMPONENTS[name]["inputProperties"], COMPONENTS[name]["requiredInputs"]
    for flavor in (native, dynamic):
        constructor = getattr(flavor, name).__init__
        # Options of resources are Python's own.
        own = [entry for entry in parameters(constructor) if entry != "accept_opts"]
        assert [to_snake(entry) for entry in inputs] == own
        assert [to_snake(entry) for entry in needed] == required(constructor)
        annotated = {entry for kind in getattr(flavor, name).__mro__ for entry in inspect.get_annotations(kind)}
        assert {to_snake(entry) for entry in COMPONENTS[name]["properties"]} <= annotated


@pytest.mark.parametrize("name", RESOURCES)
def test_properties_of_a_resource_are_those_of_its_class(name: str) -> None:
    annotated = inspect.get_annotations(getattr(native, name).__mro__[1])
    properties = RESOURCES[name]["properties"]
    assert {to_snake(entry) for entry in properties} == set(annotated)
    outputs = {to_camel(entry) for entry in CONTROLLERS[f"cbr:index:{name}"].outputs}
    assert set(properties) == {*RESOURCES[name]["inputProperties"], *outputs}
    # What is always there is not `... | None` in Python either.
    optional = {entry for entry, kind in annotated.items() if "None" in kind}
    assert {to_snake(entry) for entry in RESOURCES[name]["required"]} == set(annotated) - optional


def test_changes_that_replace() -> None:
    """The hooks' own diffs decide; this is what documentation and other languages' previews say of them."""
    ids = {"backup_id": "a", "dest_project_id": "a", "dest_project_ids": ["a"], "vault_id": "a"}
    for name, entry in RESOURCES.items():
        hooks = CONTROLLERS[f"cbr:index:{name}"](SessionPool(lambda _: None))
        id_ = BACKUP if name == "BackupShare" else f"{BACKUP}/{OWN}"
        for place in "inputProperties", "properties":
            told = {to_snake(one) for one, kind in entry[place].items() if kind.get("willReplaceOnChanges")}
            replaced = {
                one
                for one in map(to_snake, entry["inputProperties"])
                if one
                in hooks.diff(id_, {**ids, "status": "accepted"}, {**ids, "status": "accepted", one: "b"}).replaces
            }
            assert told == replaced, name


def test_the_package() -> None:
    assert SCHEMA["version"] == version("pulumi-cbr")
    # A dot would be no name for the package that `pulumi package add` writes.
    name = SCHEMA["language"]["python"]["packageName"]
    assert name == pulumi_cbr_native.__name__
    assert all(getattr(pulumi_cbr_native, entry) is getattr(native, entry) for entry in native.__all__)
    assert pulumi_cbr_native.__all__ == native.__all__


def test_schema_file_is_what_the_tool_writes(tmp_path: Path) -> None:
    """Settings or texts were changed: run `python tools/schema/schema.py`."""
    tool = Path(__file__).parents[3] / "tools" / "schema" / "schema.py"
    written = tmp_path / "schema.json"
    subprocess.run([sys.executable, str(tool), str(written)], check=True)
    assert written.read_text() == schema()


def test_every_resource_has_examples_and_an_import() -> None:
    for name, entry in ALL.items():
        languages = re.findall(r"```(\w+)\n", entry["description"])
        assert languages == ["typescript", "python", "go", "yaml", *(["sh"] if name in RESOURCES else [])], name
        assert (f"pulumi import cbr:index:{name} " in entry["description"]) == (name in RESOURCES)


def test_examples_in_python_use_arguments_that_exist() -> None:
    for name, entry in ALL.items():
        (code,) = re.findall(r"```python\n(.*?)```", entry["description"], re.DOTALL)
        (call,) = (
            node
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"cbr.{name}"
        )
        assert {argument.arg for argument in call.keywords} <= set(parameters(getattr(native, name).__init__))


def test_no_credential_has_a_default_of_the_environment() -> None:
    """A default would be written into the state by every SDK."""
    for place in (SCHEMA["config"]["variables"], SCHEMA["provider"]["inputProperties"]):
        assert not any("defaultInfo" in entry for entry in place.values())


def test_settings_name_their_environment_variables() -> None:
    for name, setting in SETTINGS.items():
        text = SCHEMA["provider"]["inputProperties"][name]["description"]
        assert all(f"`{variable}`" in text for variable in setting.variables)


def test_texts_are_of_no_one_language() -> None:
    described = _texts({**SCHEMA, "resources": {}})
    found = {text for text in described if re.search(r"\bNone\b|=True|\b[a-z]+_existing\b", text)}
    assert found == set()


@pytest.mark.parametrize("name", RESOURCES)
def test_state_inputs_are_all_properties(name: str) -> None:
    """In TypeScript and Python, `get` returns a resource with only the properties that are state inputs."""
    assert set(RESOURCES[name]["stateInputs"]["properties"]) == set(RESOURCES[name]["properties"])


@pytest.mark.parametrize(("name", "kind"), [("status", str), ("newestFirst", bool), ("limit", float)])
@pytest.mark.parametrize("value", [True, False, "true", 1.0])
def test_arguments_are_of_their_types(value: object, name: str, kind: type) -> None:
    if isinstance(value, kind):
        check_arguments("cbr:index:getBackups", {name: value})
    else:
        with pytest.raises(CbrError, match=f"getBackups failed: {name} must be of type "):
            check_arguments("cbr:index:getBackups", {name: value})


@pytest.mark.parametrize(("name", "function"), [(to_camel(name), name) for name in native.__all__ if "get_" in name])
def test_look_ups(name: str, function: str) -> None:
    own, others = getattr(native, function), getattr(dynamic, function)
    assert list(parameters(own)) == list(parameters(others))
    entry = FUNCTIONS[name.removesuffix("Output")]
    assert {to_snake(argument) for argument in entry["inputs"]["properties"]} == set(parameters(own))
    assert [to_snake(argument) for argument in entry["inputs"].get("required", ())] == required(own)


@pytest.mark.parametrize(("kind", "model"), [("Backup", Backup), ("Member", Member)])
def test_records(kind: str, model: Any) -> None:
    entry = SCHEMA["types"][f"cbr:index:{kind}"]
    annotated = inspect.get_annotations(model)
    assert {to_snake(name) for name in entry["properties"]} == set(annotated)
    assert {to_snake(name) for name in entry["required"]} <= {
        name for name in annotated if "None" not in annotated[name]
    }


def test_settings() -> None:
    expected = [*SETTINGS, "parallel"]
    assert list(SCHEMA["config"]["variables"]) == expected
    assert list(SCHEMA["provider"]["inputProperties"]) == expected
    assert [to_camel(name) for name in parameters(native.Provider.__init__)] == expected
    for name, setting in SETTINGS.items():
        for place in (SCHEMA["config"]["variables"], SCHEMA["provider"]["inputProperties"]):
            assert place[name].get("secret", False) == setting.secret
            assert setting.meaning[1:] in place[name]["description"]


def test_everything_is_described() -> None:
    silent: list[str] = []

    def visit(path: str, entry: Any) -> None:
        if isinstance(entry, dict):
            for name, value in entry.items():
                if name in ("properties", "inputProperties", "variables", "resources", "functions", "types"):
                    silent.extend(f"{path}/{one}" for one in value if not value[one].get("description"))
                visit(f"{path}/{name}", value)

    visit("", SCHEMA)
    assert silent == []


def test_references_are_to_types_that_there_are() -> None:
    found = {text.removeprefix("#/types/") for text in _texts(SCHEMA) if text.startswith("#/types/")}
    assert found == set(SCHEMA["types"])


def _texts(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    if isinstance(entry, dict):
        entry = list(entry.values())
    return [text for inner in entry for text in _texts(inner)] if isinstance(entry, list) else []


def test_resources_are_pulumis_own() -> None:
    for name in RESOURCES:
        assert issubclass(getattr(native, name), pulumi.CustomResource)
    assert issubclass(native.Provider, pulumi.ProviderResource)


DOCS = Path(__file__).parents[3] / "docs"


def test_registry_page_has_every_setting() -> None:
    page = (DOCS / "installation-configuration.md").read_text()
    for name, entry in SCHEMA["config"]["variables"].items():
        text, _, variables = entry["description"].partition(" Environment: ")
        secret = " (secret)" if entry.get("secret") else ""
        assert f"| `cbr:{name}` | {text.rstrip('.')}{secret} | {variables.rstrip('.')} |" in page
    assert f"cbr v{SCHEMA['version']} --file pulumi-resource-cbr-v{SCHEMA['version']}-" in page


def test_registry_index_has_the_first_example_of_each_language() -> None:
    page = (DOCS / "_index.md").read_text()
    assert re.findall(r"```(\w+)\n", page) == ["typescript", "python", "go", "yaml"]
    assert f'"{SCHEMA["repository"].removeprefix("https://")}/sdk/go/cbr"' in page
    assert f'from "{SCHEMA["language"]["nodejs"]["packageName"]}"' in page


def test_logo_is_where_the_schema_says() -> None:
    assert (DOCS / SCHEMA["logoUrl"].rpartition("/docs/")[2]).read_text().startswith("<svg")
