"""Resources and look-ups tell the engine where their plugin is, and share one default provider."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pulumi
import pytest

import pulumi_cbr.native as cbr
from pulumi_cbr.native.lookups import with_plugin
from pulumi_cbr.native.schema import plugin_options


def test_plugin_options_are_the_packages_own() -> None:
    assert plugin_options()["version"] == version("pulumi-cbr")
    assert "pulumi-cbr" in plugin_options()["plugin_download_url"]


@pytest.mark.parametrize("opts", [None, pulumi.InvokeOptions(), pulumi.InvokeOutputOptions()])
def test_invoke_options_name_the_plugin(opts: Any) -> None:
    merged = with_plugin(opts)
    assert {name: getattr(merged, name) for name in plugin_options()} == plugin_options()
    assert opts is None or not opts.version


def test_invoke_options_of_the_program_win() -> None:
    assert with_plugin(pulumi.InvokeOptions(version="1.2.3")).version == "1.2.3"


def test_resource_options_name_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pulumi.ResourceOptions] = []

    def record(*args: Any) -> None:
        seen.append(args[-1])

    monkeypatch.setattr(pulumi.CustomResource, "__init__", record)
    monkeypatch.setattr(pulumi.ProviderResource, "__init__", record)
    cbr.BackupShareMember("a", "b", "c")
    cbr.BackupShare("a", "b", ["c"])
    cbr.BackupShareAccepter("a", "b", "c")
    cbr.Provider("a")
    cbr.BackupShareMember("a", "b", "c", opts=pulumi.ResourceOptions(version="1.2.3"))
    versions = [opts.version for opts in seen]
    assert versions == [version("pulumi-cbr")] * 4 + ["1.2.3"]
    assert {opts.plugin_download_url for opts in seen} == {plugin_options()["plugin_download_url"]}
