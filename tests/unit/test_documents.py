"""The documentation keeps up with the code, its links lead somewhere, and the site builds without a warning."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pulumi_cbr
import pulumi_cbr.native
from documents import PAGES, ROOT, read
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.messages import ADVICE_BY_CODE
from pulumi_cbr.shares.formats import to_record
from pulumi_cbr.shares.model import Share
from tools.docs import reference

ENTRIES = {name.rpartition(":")[2]: entry for name, entry in reference.schema()["resources"].items()}
RESOURCES = [name for name, entry in ENTRIES.items() if not entry.get("isComponent")]
DOCUMENTS = (
    *PAGES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "bench/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("examples/*/README.md"))),
)


#: `python -m sphinx`, without collecting garbage among a million nodes, which takes a fifth of the time.
BUILD = "import gc, runpy; gc.disable(); runpy.run_module('sphinx', run_name='__main__', alter_sys=True)"


@cache
def filled(page: str) -> str:
    """Return a page with its generated tables."""
    return str(reference.fill(read(page)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A warning fails the build."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-q", "-d", f"{folder}/doctrees", "docs", f"{folder}/html"]
    built = subprocess.run([sys.executable, "-c", BUILD, *options], cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    return folder / "html"


@pytest.mark.parametrize("module", [pulumi_cbr, pulumi_cbr.native])
def test_exports_are_sorted_and_documented(module: object) -> None:
    names = list(module.__all__)  # type: ignore[attr-defined]
    assert names == sorted(names)
    for name in names:
        assert inspect.getdoc(getattr(module, name)), name


@pytest.mark.parametrize("module", [pulumi_cbr, pulumi_cbr.native])
def test_every_export_is_in_the_reference(module: Any) -> None:
    pages = "".join(filled(page) for page in PAGES if page.startswith("docs/reference/"))
    assert [name for name in module.__all__ if not re.search(rf"\b{name}\b", pages)] == []


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_page_has_every_name(name: str) -> None:
    page = filled(f"docs/reference/{page_of(name)}.md")
    spelled = [spell(key) for key in ENTRIES[name]["properties"] for spell in (reference.snake, str, reference.pascal)]
    assert [key for key in spelled if f"`{key}`" not in page] == []
    assert [key for key in parameters(getattr(pulumi_cbr, name)) if f"`{key}`" not in page] == []
    assert f"pulumi import cbr:index:{name}" in page
    for language in ("python", "typescript", "go", "yaml"):
        assert f"```{language}\n" in page


def test_components_page_has_every_name() -> None:
    page = filled("docs/reference/components.md")
    for entry in (entry for entry in ENTRIES.values() if entry.get("isComponent")):
        keys = (*entry["inputProperties"], *entry["properties"])
        spelled = [spell(key) for key in keys for spell in (reference.snake, str, reference.pascal)]
        assert [key for key in spelled if f"`{key}`" not in page] == []


def page_of(name: str) -> str:
    """Return the page of a resource: `backup-share` for `BackupShare`."""
    return reference.snake(name).lstrip("_").replace("_", "-")


def parameters(resource: Any) -> list[str]:
    """Return what a program may say of a resource."""
    return [
        name
        for name in inspect.signature(resource.__init__).parameters
        if name not in ("self", "resource_name", "opts")
    ]


@pytest.mark.parametrize(
    "name", [name for name in pulumi_cbr.__all__ if name.startswith("get_") and not name.endswith("_output")]
)
def test_look_up_page_has_every_name(name: str) -> None:
    page = filled("docs/reference/look-ups.md")
    assert f"## {name}\n" in page
    assert f"`{name}_output`" in page
    function = inspect.signature(getattr(pulumi_cbr, name))
    assert [key for key in function.parameters if f"`{key}`" not in page] == []


def test_settings_page_has_every_setting() -> None:
    page = filled("docs/reference/settings.md")
    for name, setting in SETTINGS.items():
        assert f"`cbr:{name}`" in page
        assert [variable for variable in setting.variables if f"`{variable}`" not in page] == []
    assert "`cbr:parallel`" in page


def test_messages_page_has_every_message() -> None:
    page = filled("docs/reference/error-messages.md")
    for functions in reference.message_functions().values():
        assert [function.__name__ for function in functions if reference.sample_message(function) not in page] == []
        assert [function.__name__ for function in functions if not inspect.getdoc(function)] == []


def test_troubleshooting_names_every_refusal_of_a_share() -> None:
    text = read("docs/how-to/find-out-why.md")
    told_by_their_text = {"6705", "6706", "6708", "6711", "6200", "8600", "9900", "9910", "9998"}
    assert [code for code in ADVICE_BY_CODE if code not in text and code not in told_by_their_text] == []


def test_commands_page_has_every_field_of_a_share() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text()
    table = text[text.index("| field | contents |") :].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert named == list(to_record(Share("", "", "")))


def test_permissions_are_those_of_the_policies() -> None:
    page = read("docs/reference/permissions.md")
    table, _, policies = page.partition("## A policy for the owner")
    named = set(re.findall(r"`(cbr:[a-zA-Z]+:[a-z]+)`", table))
    granted: set[str] = set()
    for policy in re.findall(r"```json\n(.*?)```", policies, re.DOTALL):
        granted |= {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    assert named == granted


def test_readme_is_short_and_names_every_page() -> None:
    text = read("README.md")
    assert len(text.splitlines()) <= 150
    guides = [page for page in PAGES if page.startswith("docs/how-to/")]
    assert [page for page in guides if f"({page})" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", read(document)):
        assert (folder / target).exists(), target


def test_site_asks_no_other_host_for_anything(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=[\"'](?:https?:)?//[^\"']+", re.IGNORECASE
    )
    imported = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", re.IGNORECASE)
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text()) == [], page.name
    for sheet in (*site.rglob("*.css"), *site.rglob("*.svg")):
        assert imported.findall(sheet.read_text()) == [], sheet.name


def test_site_links_and_anchors_lead_somewhere(site: Path) -> None:
    pages = {page: page.read_text() for page in site.rglob("*.html")}
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    for page, text in pages.items():
        for target, anchor in re.findall(r'<a\b[^>]*? href="(?!https?:|mailto:)([^"#]*)(?:#([^"]*))?"', text):
            other = (page.parent / target).resolve() if target else page
            assert other.exists(), f"{page.name}: {target}"
            assert not anchor or other.suffix != ".html" or anchor in anchors[other], f"{page.name}: {target}#{anchor}"


def test_site_documents_the_api(site: Path) -> None:
    for page, name in (
        ("reference/client.html", "pulumi_cbr.api.CbrClient"),
        ("reference/pytest-fixtures.html", "pulumi_cbr.simulator.pytest_plugin.cbr_stack"),
    ):
        assert f'id="{name}"' in (site / page).read_text()
