"""The documents keep up with the code: every name a user can give or get is in the README."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pulumi_cbr
import pulumi_cbr.native
from pulumi_cbr.api.errors import BY_CODE
from pulumi_cbr.backup_share import BackupShareProperties
from pulumi_cbr.backup_share_accepter import BackupShareAccepterProperties
from pulumi_cbr.backup_share_member import BackupShareMemberProperties

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Give the README's text below a heading, up to the next of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}.*?$(.*?)(?=^#{{1,3}} |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title!r}"
    return found[2]


@pytest.mark.parametrize("module", [pulumi_cbr, pulumi_cbr.native])
def test_exports_are_sorted_and_documented(module: object) -> None:
    names = list(module.__all__)  # type: ignore[attr-defined]
    assert names == sorted(names)
    for name in names:
        assert inspect.getdoc(getattr(module, name)), name


def test_readme_has_the_settings_and_their_precedence() -> None:
    """After a change, run ``python tools/sign_in_tables.py``."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "sign_in_tables.py"), "--check"], check=True)


@pytest.mark.parametrize(
    ("title", "properties"),
    [
        ("BackupShareMember: one project", BackupShareMemberProperties),
        ("BackupShare: a set", BackupShareProperties),
        ("BackupShareAccepter: the receiver", BackupShareAccepterProperties),
    ],
)
def test_every_property_is_named_with_its_resource(title: str, properties: type) -> None:
    text = section(title)
    assert [name for name in inspect.get_annotations(properties) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", [name for name in pulumi_cbr.__all__ if name.startswith("get_")])
def test_every_look_up_is_named_with_its_filters(name: str) -> None:
    text = section("Look-ups")
    assert name in text
    assert [
        parameter for parameter in inspect.signature(getattr(pulumi_cbr, name)).parameters if parameter not in text
    ] == [parameter for parameter in ("cloud",) if "cloud" not in text]


def test_troubleshooting_names_every_refusal_of_a_share() -> None:
    text = section("When something fails")
    told_by_their_text = {"6705", "6706", "6708", "6711", "6200", "8600", "9900", "9910", "9998"}
    assert [code for code in BY_CODE if code not in text and code not in told_by_their_text] == []


def test_links_lead_somewhere() -> None:
    for document in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("examples/*/README.md"),
        *ROOT.glob("docs/*.md"),
    ):
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_api_reference_is_written_without_a_warning(tmp_path: Path) -> None:
    written = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "docs.py"), str(tmp_path)], capture_output=True, text=True
    )
    assert (written.returncode, written.stderr) == (0, "")
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text() for page in tmp_path.rglob("*.html")}
    for page, name in (
        ("pulumi_cbr.html", "BackupShareMember"),
        ("pulumi_cbr/native.html", "Provider"),
        ("pulumi_cbr/api.html", "CbrClient"),
        ("pulumi_cbr/simulator/pytest_plugin.html", "cbr_stack"),
    ):
        assert f'id="{name}"' in pages[page]
