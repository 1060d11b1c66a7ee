"""The dynamic flavor: one line for each failure, and other providers stay as they are."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.output import Unknown

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.dynamic import DynamicProvider
from pulumi_cbr.lifecycle.controller import UNKNOWN, CheckedInputs, Controller, Diff, ResourceState
from pulumi_cbr.lifecycle.failures import HookError, save_bug_report
from pulumi_cbr.lifecycle.session import SessionPool


class Recorded(Controller):
    """Keeps what it is called with, and answers as it is told."""

    outputs = ("status",)
    called: Any = None
    answer: Any = None

    def _tell(self, *args: Any) -> Any:
        Recorded.called = args
        if isinstance(Recorded.answer, Exception):
            raise Recorded.answer
        return Recorded.answer

    check = diff = create = read = update = delete = _tell  # type: ignore[assignment]


class Provider(DynamicProvider):
    make_controller = Recorded

    def __init__(self) -> None:
        self.controller = Recorded(SessionPool(lambda name: None))


HOOKS: dict[str, Any] = {
    "check": lambda provider: provider.check({}, {}),
    "diff": lambda provider: provider.diff("id", {}, {}),
    "create": lambda provider: provider.create({}),
    "read": lambda provider: provider.read("id", {}),
    "update": lambda provider: provider.update("id", {}, {}),
    "delete": lambda provider: provider.delete("id", {}),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_fails_with_one_line(hook: str) -> None:
    Recorded.answer = CbrError("the reason")
    with pytest.raises(HookError, match=r"^the reason$"):
        HOOKS[hook](Provider())


@pytest.mark.parametrize(
    "bug", [KeyError("x"), RecursionError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates")]
)
@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_calls_a_bug_a_bug(hook: str, bug: Exception, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Recorded.answer = bug
    with pytest.raises(HookError) as refused:
        HOOKS[hook](Provider())
    said = str(refused.value)
    assert said.startswith(f"this is a bug in pulumi-cbr ({type(bug).__name__})")
    assert len(said.splitlines()) == 1
    (kept,) = tmp_path.iterdir()
    assert str(kept) in said
    assert type(bug).__name__ in kept.read_text(encoding="utf-8")


def test_bug_without_a_file_is_all_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        said = save_bug_report(error)
    assert "No file could be written (No such file or directory): please report it with this line" in said
    assert r"ValueError('two\nlines') in test_bug_without_a_file_is_all_in_the_line:" in said
    assert len(said.splitlines()) == 1


def test_bug_with_unwritable_text_is_reported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert "this is a bug in pulumi-cbr (ValueError)" in save_bug_report(ValueError("\ud800"))
    (kept,) = tmp_path.iterdir()
    assert r"\ud800" in kept.read_text(encoding="utf-8")


def test_unknown_values_are_the_same_text_everywhere() -> None:
    Recorded.answer = CheckedInputs({}, [])
    unknown = Unknown()  # type: ignore[no-untyped-call]
    Provider().check({"__provider": "x"}, {"__provider": "x", "a": unknown, "b": [unknown, "c"], "d": {"e": unknown}})
    assert Recorded.called == ({}, {"a": UNKNOWN, "b": [UNKNOWN, "c"], "d": {"e": UNKNOWN}})


@pytest.mark.parametrize(
    ("diff", "changes", "replaces"),
    [
        (Diff(), False, []),
        (Diff(updates=("cloud",)), None, []),
        (Diff(updates=("status",)), True, []),
        (Diff(updates=("cloud", "status")), True, []),
        (Diff(replaces=("backup_id",)), True, ["backup_id"]),
        (Diff(updates=("cloud",), replaces=("backup_id",)), True, ["backup_id"]),
    ],
)
def test_diff_leaves_changed_inputs_to_the_engine(diff: Diff, changes: bool | None, replaces: list[str]) -> None:
    Recorded.answer = diff
    found = Provider().diff("id", {}, {})
    assert (found.changes, found.replaces) == (changes, replaces)


def test_read_of_missing_share_is_gone_or_refused() -> None:
    Recorded.answer = None
    gone = Provider().read("id", {"status": "x", "__provider": "p"})
    assert (gone.id, gone.outs) == ("", {})
    with pytest.raises(HookError, match=r"^id does not exist\. Check the ID$"):
        Provider().read("id", {"cloud": "otc", "__provider": "p"})
    Recorded.answer = ResourceState("id", {"status": "x"}, {})
    assert Provider().read("id", {}).id == "id"


@pytest.mark.parametrize(
    ("name", "replaced"), [("pulumi.dynamic.__main__", True), ("somebody.__main__", False), (None, False)]
)
def test_configure_patches_only_the_plugins_process(name: str | None, replaced: bool) -> None:
    """A program that is not the plugin keeps its `traceback` and its garbage collection; the plugin's has all that it had."""
    script = f"""
        import gc, traceback, importlib.machinery, sys, weakref
        __spec__ = importlib.machinery.ModuleSpec({name!r}, None) if {name!r} else None
        from pulumi.dynamic import ConfigureRequest
        from pulumi_cbr.backup_share import BackupShareProvider
        from pulumi_cbr.backup_share_member import BackupShareMemberProvider
        from pulumi_cbr.lifecycle.failures import HookError
        BackupShareMemberProvider().configure(ConfigureRequest({{}}))
        assert (traceback is not sys.modules["traceback"]) == {replaced}
        def formatted(error):
            try:
                raise error
            except Exception:
                return traceback.format_exc()
        assert formatted(ValueError("theirs")).startswith("Traceback"), formatted(ValueError())
        assert formatted(ValueError("theirs")).endswith("ValueError: theirs\\n")
        assert (formatted(HookError("ours")) == "cbr: ours") == {replaced}
        assert traceback.extract_stack and traceback.print_exc
        assert bool(gc.get_freeze_count()) == {replaced}
        assert gc.isenabled()
        class Rubbish:
            def __init__(self):
                self.itself = self
        left = weakref.ref(Rubbish())
        BackupShareProvider().configure(ConfigureRequest({{}}))
        gc.collect()
        assert left() is None
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("authURL", " (did you mean cbr:authUrl?)"), ("project_id", " (did you mean cbr:projectId?)"), ("zzz", "")],
)
def test_configure_unknown_setting_is_refused(name: str, suggestion: str) -> None:
    config = Config({f"cbr:{name}": "x", "other:thing": "y"}, "project")
    with pytest.raises(HookError, match=rf"^unknown setting cbr:{name}{re.escape(suggestion)}") as failed:
        Provider().configure(ConfigureRequest(config))
    assert len(str(failed.value).splitlines()) == 1
