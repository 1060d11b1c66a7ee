"""The operations matrix: a run must give what docs/operations-matrix.md has.

`OPERATIONS_MATRIX=write` in the environment writes that file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pulumi_cbr.simulator import Simulator

from .in_process import call_in_process
from .operations import OPERATIONS, PAIRS, Cell, Outcome, read_expected, run, to_page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations-matrix.md"

# What openstacksdk imports warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """The service, and a clouds.yaml with an entry of each role."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    call_in_process(monkeypatch)
    with Simulator(backups=len(read_expected()), token_life=1e9) as running:
        entries = {}
        for role in ("owner", "receiver"):
            env = running.env(role)
            keys = ("auth_url", "username", "password", "user_domain_name", "project_id")
            auth = {key: env[f"OS_{key.upper()}"] for key in keys}
            entries[role] = {"auth": auth, "region_name": env["OS_REGION_NAME"]}
        file = tmp_path / "clouds.yaml"
        file.write_text(yaml.safe_dump({"clouds": entries}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        yield running


def test_every_cell_ends_as_it_should(simulator: Simulator) -> None:
    wanted = read_expected()
    outcomes: dict[Cell, Outcome] = {}
    wrong = {}
    for cell, backup in zip(wanted, simulator.backups, strict=True):
        try:
            outcomes[cell] = run(simulator, backup.id, cell)
        except Exception as error:
            outcomes[cell] = Outcome("!", f"{type(error).__name__}: {error}")
        if outcomes[cell].letter != wanted[cell]:
            wrong[cell] = (wanted[cell], outcomes[cell])
    assert wrong == {}
    text = to_page(outcomes)
    if os.environ.get("OPERATIONS_MATRIX") == "write":
        DOCS.write_text(text, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == text


def test_preflight_allows_what_a_replacement_does(simulator: Simulator) -> None:
    """The own share counts as free in each replacement that the engine does not force: see Limits."""
    backups = iter(simulator.backups)
    wrong = {}
    for cell, letter in read_expected().items():
        is_replacement = re.search("replace|taint|trigger|change of provider", cell.operation)
        is_forced = (
            re.match("--replace|state taint|.*tainted", cell.operation) and "adopt_existing" not in cell.operation
        )
        if is_replacement and not is_forced and letter in "kn" and cell.pair in ("M>M", "S>S"):
            end = run(simulator, next(backups).id, cell, {"preflight": "true"})
            if end.letter != letter:
                wrong[cell] = (letter, end)
    assert wrong == {}


def test_every_operation_is_in_the_matrix() -> None:
    wanted = read_expected()
    assert {cell.operation for cell in wanted} == set(OPERATIONS)
    assert {cell.pair for cell in wanted} == set(PAIRS)
    assert len(wanted) >= 120
