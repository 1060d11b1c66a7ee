"""The texts that a program's author reads in an editor, and the checks that need no plugin."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pulumi
import pytest

import pulumi_cbr
from pulumi_cbr import backup_share, backup_share_accepter, backup_share_member
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.lifecycle.inputs import Inputs
from pulumi_cbr.lifecycle.session import SessionPool

MODULES = (backup_share_member, backup_share, backup_share_accepter)


def classes() -> list[tuple[str, ast.ClassDef]]:
    found = []
    for module in MODULES:
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        found += [
            (module.__name__.rpartition(".")[2], node)
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name.endswith("Properties")
        ]
    return found


def test_each_module_has_its_properties() -> None:
    assert [node.name for _, node in classes()] == [
        "BackupShareMemberProperties",
        "BackupShareProperties",
        "BackupShareAccepterProperties",
    ]


@pytest.mark.parametrize(("module", "node"), classes())
def test_each_property_says_what_it_means(module: str, node: ast.ClassDef) -> None:
    for place, entry in enumerate(node.body):
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            below = node.body[place + 1]
            assert isinstance(below, ast.Expr), entry.target.id
            assert isinstance(below.value, ast.Constant), entry.target.id
            text = below.value.value
            assert isinstance(text, str), entry.target.id
            assert len(text) > 20, entry.target.id
            assert text.rstrip().endswith("."), entry.target.id


@pytest.mark.parametrize("name", ["BackupShareMember", "BackupShare", "BackupShareAccepter"])
def test_each_argument_is_an_output_with_a_type_and_a_text(name: str) -> None:
    resource = getattr(pulumi_cbr, name)
    parameters = inspect.signature(resource.__init__).parameters
    annotations = {
        key: str(value) for base in resource.__mro__ for key, value in vars(base).get("__annotations__", {}).items()
    }
    for parameter in parameters.values():
        if parameter.name == "self":
            continue
        assert f":param {parameter.name}: " in (inspect.getdoc(resource.__init__) or ""), parameter.name
        assert parameter.annotation is not inspect.Parameter.empty
        if parameter.name not in ("resource_name", "opts"):
            assert annotations[parameter.name].startswith("pulumi.Output["), parameter.name
    assert [parameter.name for parameter in parameters.values()][1] == "resource_name"
    assert parameters["opts"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", ["BackupShareMember", "BackupShare", "BackupShareAccepter"])
def test_outputs_of_a_controller_are_declared(name: str) -> None:
    module = next(module for module in MODULES if hasattr(module, name))
    declared = vars(module)[f"{name}Properties"].__annotations__
    controller = vars(module)[f"{name}Provider"].make_controller(SessionPool(lambda setting: None))
    parameters = inspect.signature(getattr(pulumi_cbr, name).__init__).parameters
    assert set(controller.outputs) == set(declared) - set(parameters)
    assert issubclass(getattr(pulumi_cbr, name), pulumi.CustomResource)


def test_checked_leaves_out_wrong_inputs() -> None:
    inputs = Inputs({"backup_id": "x", "cloud": UNKNOWN, "adopt_existing": None})
    inputs.backup_id()
    inputs.cloud()
    inputs.flag("adopt_existing")
    assert inputs.checked().inputs == {"cloud": UNKNOWN}
    assert (inputs.value("cloud"), inputs.known_value("cloud"), inputs.known_value("backup_id")) == (
        UNKNOWN,
        None,
        None,
    )
    assert [problem.property for problem in inputs.checked().problems] == ["backup_id"]


@pytest.mark.parametrize("value", [0, 1, 0.0, "false", "", [], {}])
def test_flag_must_be_true_or_false(value: object) -> None:
    inputs = Inputs({"exclusive": value})
    inputs.flag("exclusive")
    (problem,) = inputs.checked().problems
    shown = int(value) if isinstance(value, float) else value
    assert problem.reason == f"must be true or false, not {shown!r}"
