"""The wheel in new environments, with each extra and with the oldest allowed versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from documents import commands

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
PROJECT = (ROOT / "pyproject.toml").read_text()

#: Hooks in both flavors, what goes over the wire, and pickles: what a version of a library may do otherwise.
HOOK_TESTS = [
    "protocol/test_native_unverified.py",
    "protocol/test_side_by_side.py",
    "unit/api/test_http.py",
    "unit/test_state_format.py",
]

#: Runs a command of a new environment, and gives what it printed.
Run = Callable[..., str]


def run(*command: str | Path, **environment: str) -> str:
    finished = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` fills."""
    folder = tmp_path_factory.mktemp("dist")
    # Its environment by uv, with the certificates that the system trusts: pip takes twice the time.
    path = os.pathsep.join([str(UV.parent), os.environ["PATH"]])
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", folder, ROOT, PATH=path, UV_SYSTEM_CERTS="true")
    return folder


def environment(folder: Path) -> Path:
    """Make an environment, and give its Python."""
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    return folder / "bin" / "python"


def install(python: Path, dist: Path, *requirements: str) -> None:
    """Install the wheel and what is asked for."""
    (wheel,) = dist.glob("*.whl")
    # The wheel by its name, so that an extra can be asked for.
    wanted = [requirement.replace("pulumi-cbr", str(wheel), 1) for requirement in requirements]
    run(UV, "pip", "install", "--quiet", "--system-certs", "--python", python, *wanted)


def test_wheel_and_sdist_have_what_they_should(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(archive.read(name).decode() for name in names if name.endswith("METADATA"))
    sources = {str(path.relative_to(ROOT / "provider")) for path in (ROOT / "provider/pulumi_cbr").rglob("*.py")}
    assert sources <= names
    assert {"pulumi_cbr/native/schema.json", "pulumi_cbr_native.py"} <= names
    assert {"pulumi_cbr/py.typed", "pulumi_cbr/simulator/openapi.json"} <= names
    # Without this, Pulumi takes the package for one whose provider it must download before any program runs.
    assert "pulumi_cbr/pulumi-plugin.json" in names
    assert not [name for name in names if name.startswith(("tests", "tools", "bench", "examples"))]
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.10" in metadata
    with tarfile.open(sdist) as archive:
        assert {"LICENSE", "README.md", "pyproject.toml"} <= {Path(name).name for name in archive.getnames()}


def test_plugin_archive_has_what_the_engine_installs(dist: Path) -> None:
    """The engine unpacks an archive, installs requirements.txt into an environment, and runs `__main__.py`."""
    (wheel,) = dist.glob("*.whl")
    written = run(sys.executable, ROOT / "tools" / "release.py", dist).split()
    names = [
        f"pulumi-resource-cbr-v{version('pulumi-cbr')}-{system}.tar.gz" for system in ("linux-amd64", "windows-amd64")
    ]
    assert {dist / name for name in names} <= {Path(path) for path in written}
    with tarfile.open(dist / names[0]) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive.getmembers()}  # type: ignore[union-attr]
    assert files.keys() == {"PulumiPlugin.yaml", "__main__.py", "requirements.txt", wheel.name}
    assert files["requirements.txt"].decode() == f"./{wheel.name}\n"
    assert files[wheel.name] == wheel.read_bytes()
    for path in map(Path, written):
        path.unlink()


def test_plugin_folder_requires_this_version() -> None:
    requirements = (ROOT / "provider" / "plugin" / "requirements.txt").read_text()
    assert requirements == f"pulumi-cbr=={version('pulumi-cbr')}\n"


def test_each_extra_installs_what_it_promises(dist: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    install(python, dist, "pulumi-cbr")
    run(
        python,
        "-c",
        "import pulumi_cbr, pulumi_cbr.native, pulumi_cbr.api, pulumi_cbr.simulator; pulumi_cbr.api.CbrClient",
    )
    served = subprocess.run([python, "-m", "pulumi_cbr.simulator", "serve"], capture_output=True, text=True)
    assert served.returncode != 0
    assert "pulumi-cbr[simulator]" in served.stderr
    assert "Traceback" not in served.stderr
    named = subprocess.run(
        [python, "-c", "from pulumi_cbr.api import CbrClient; CbrClient()"],
        env={**os.environ, "OS_CLOUD": "production"},
        capture_output=True,
        text=True,
    )
    assert "pip install 'pulumi-cbr[clouds]'" in named.stderr
    assert (python.parent / "pulumi-resource-cbr").exists()

    install(python, dist, "pulumi-cbr[simulator]")
    run(python, "-c", "from pulumi_cbr.simulator import Simulator\nwith Simulator() as sim: print(sim.url)")
    install(python, dist, "pulumi-cbr[clouds]")
    run(python, "-c", "import openstack.config, pulumi_cbr.api.clouds")


def test_documented_installation_works(dist: Path, tmp_path: Path) -> None:
    """As documented, but for `pip`, which takes a minute, and for `venv`, which installs it."""
    install, *_ = commands("docs/get-started.md")
    (sdist,) = dist.glob("*.tar.gz")
    run("tar", "--extract", "--file", sdist, "--directory", tmp_path)
    (clone,) = tmp_path.iterdir()
    clone.rename(tmp_path / "pulumi-cbr")
    fast = f'python3() {{ [ "$1 $2" = "-m venv" ] && {UV} venv --quiet --python {sys.executable} "$3"; }}\n'
    fast += f'pip() {{ {UV} pip "$@" --quiet --system-certs; }}'
    code = "import pulumi_cbr.native"
    run("bash", "-euc", f"cd {tmp_path}\n{fast}\n{install}\npython -c '{code}'\ncommand -v pulumi-resource-cbr")


def test_the_oldest_versions_allowed_work(dist: Path, tmp_path: Path) -> None:
    oldest = [f"{name}=={least}" for name, least in re.findall(r'"([a-z0-9]+)>=([0-9.]+),<\d+",', PROJECT)]
    assert {"pulumi", "requests", "keystoneauth1", "flask"} <= {entry.partition("==")[0] for entry in oldest}
    tools = [f"{name}=={version(name)}" for name in ("pytest", "cryptography")]
    python = environment(tmp_path / "oldest")
    install(python, dist, "pulumi-cbr[simulator]", *oldest, *tools)
    told = run(
        *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default"),
        *(ROOT / "tests" / name for name in HOOK_TESTS),
        PYTHONPATH=str(ROOT / "tests"),
    )
    assert re.search(r"\d+ passed", told)


def test_version_and_changelog_agree() -> None:
    (stated,) = re.findall(r'^version = "(.*)"$', PROJECT, re.MULTILINE)
    dated = re.findall(r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert dated[0] == stated == version("pulumi-cbr")
