"""The results of the benchmark, and its part beside Terraform; nothing is measured here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench.__main__
from bench import terraform
from bench.__main__ import RESULTS, main
from bench.measures import PARTS, Figures


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a file that can be run."""
    path = tmp_path / "program"
    path.touch(mode=0o755)
    return path


@pytest.mark.parametrize("part", ["terraform", "terraform-500"])
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "set BENCH_TERRAFORM to the path of the terraform binary"),
        (
            {"BENCH_TERRAFORM": "{program}"},
            "set BENCH_TERRAFORM_PROVIDER to the path of the terraform-provider-huaweicloud binary",
        ),
        (
            {"BENCH_TERRAFORM": "{program}", "BENCH_TERRAFORM_PROVIDER": "/nowhere"},
            "BENCH_TERRAFORM_PROVIDER is /nowhere, which is no program",
        ),
    ],
)
def test_terraform_part_missing_binary_is_refused(
    part: str,
    variables: dict[str, str],
    reason: str,
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in terraform.TERRAFORM, terraform.PROVIDER:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(program=program))
    before = RESULTS.read_bytes()
    assert main(["--only", part]) == 2
    assert capsys.readouterr() == ("", f"bench: cannot measure {part}: {reason}\n")
    assert RESULTS.read_bytes() == before


def test_find_missing_both_binaries_finds_nothing(program: Path) -> None:
    assert terraform.find_missing({terraform.TERRAFORM: str(program), terraform.PROVIDER: str(program)}) is None


def test_configuration_has_one_resource_a_backup() -> None:
    written = terraform.to_configuration([("b1", ["p1", "p2"]), ("b2", ["p1"])], "http://127.0.0.1:1")
    assert written["resource"] == {
        "huaweicloud_cbr_backup_share": {
            "share-b1": {"backup_id": "b1", "members": [{"dest_project_id": "p1"}, {"dest_project_id": "p2"}]},
            "share-b2": {"backup_id": "b2", "members": [{"dest_project_id": "p1"}]},
        }
    }
    endpoint = "http://127.0.0.1:1/"
    assert written["provider"] == {"huaweicloud": {"endpoints": {"cbr": endpoint, "iam": endpoint}}}
    assert written["terraform"]["required_providers"] == {"huaweicloud": {"source": "huaweicloud/huaweicloud"}}


def test_settings_find_the_provider_without_a_registry() -> None:
    assert '"huaweicloud/huaweicloud" = "/plugins"' in terraform.to_settings(Path("/plugins"))


def test_results_have_medians_and_no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Figures()
    for ours, floor in (1.0, 2.0), (4.0, 2.0), (3.0, 6.0):
        figures.add("what", "s", ours, floor, by="ratio", aim=0.4)

    def part(folder: Path, rounds: int) -> Figures:
        """Return figures that are known."""
        return figures

    monkeypatch.setitem(PARTS, "import", part)
    for name in "RESULTS", "SAMPLES", "PICTURE":
        monkeypatch.setattr(bench.__main__, name, tmp_path / name)
    assert main(["--only", "import"]) == 0
    # The result is the median of the pairs' ratios, not the ratio of the medians.
    expected = {"ours": 3.0, "floor": 2.0, "result": 0.5, "met": False, "rounds": 3}
    (written,) = json.loads((tmp_path / "RESULTS").read_text())["parts"]["import"]
    assert written == {"what": "what", "unit": "s", "by": "ratio", "aim": 0.4, **expected}
    samples = json.loads((tmp_path / "SAMPLES").read_text())
    assert samples == {"import": {"what": {"ours": [1.0, 4.0, 3.0], "floor": [2.0, 2.0, 6.0]}}}
