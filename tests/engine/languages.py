"""Programs in Go and Java on the real engine, with SDKs that are generated and compiled: `make languages` runs them.

They are not part of `make test`: with nothing cached, compiling Pulumi's own SDK for Go alone takes minutes.
"""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli, InitStack
from .native_example import SCRIPT, Example, schema_programs


def compile_with(folder: Path, *command: str) -> None:
    """Run a compiler in a folder, and check that it succeeds."""
    finished = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def import_printed(example: Example, simulator: Simulator) -> str:
    """Import a share; return the program that the CLI prints."""
    backup, project = simulator.backups[3].id, simulator.projects[0]
    simulator.share(backup, project)
    arguments = ["cbr:index:BackupShareMember", "imported", f"{backup}/{project}"]
    return example.run("import", *arguments, "--yes", "--skip-preview", "--protect=false")


def test_go(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    example = Example("native_go", tmp_path, cli, init_stack, simulator.env())
    example.run("package", "gen-sdk", SCRIPT, "--language", "go", "--local", "--out", "sdks")
    (example.folder / "sdks" / "go").rename(example.folder / "sdks" / "cbr")
    for name, text in schema_programs("go").items():
        folder = example.folder / "shown" / name
        folder.mkdir(parents=True)
        (folder / "main.go").write_text(text)
    compile_with(example.folder, "go", "mod", "tidy")
    compile_with(example.folder, "go", "vet", "./...")
    compile_with(example.folder, "go", "build", "-o", "program", ".")

    example.configure_both_sides(simulator)
    example.run_both_sides(simulator, rolling=[simulator.backups[-1].id])

    (example.folder / "main.go").write_text(program_in(import_printed(example, simulator), "package main"))
    example.run("preview", "--expect-no-changes")


def test_java(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    """`maxRetries(3)` is 3.0 on the wire; and imports are below the schema's own package."""
    example = Example("native_java", tmp_path, cli, init_stack, simulator.env())
    sdk = example.folder / "sdks" / "cbr"
    if generator := shutil.which("pulumi-java-gen"):
        # The host that Go modules offer takes no package's own name: what it would print is `com.pulumi.cbr`.
        schema = ROOT / "provider" / "pulumi_cbr" / "native" / "schema.json"
        options = ["--local", "--build", "none", "--version", version("pulumi-cbr")]
        compile_with(example.folder, generator, "generate", *options, "--schema", str(schema), "--out", "sdks/cbr")
    else:
        example.run("package", "gen-sdk", SCRIPT, "--language", "java", "--local", "--out", "sdks")
        (example.folder / "sdks" / "java").rename(sdk)
    assert (sdk / "src/main/java/io/github/pulumicbr/cbr/BackupShare.java").is_file()
    compile_with(example.folder, "mvn", "--quiet", "--batch-mode", "compile")

    example.configure_both_sides(simulator)
    example.run("up", "--yes", "--skip-preview")
    (settings,) = [
        entry["inputs"] for entry in example.deployment()["resources"] if entry["urn"].endswith("::receiver")
    ]
    assert float(settings["maxRetries"]) == 3
    example.run_both_sides(simulator, rolling=[simulator.backups[-1].id])


def program_in(output: str, first_line: str) -> str:
    """Return the program at the end of what `pulumi import` printed."""
    return output[output.index(f"{first_line}\n") :]
