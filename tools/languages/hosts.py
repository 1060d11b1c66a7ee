"""Find the language hosts of Go and Java, or build them, and print the folder to put on PATH before all others.

A Pulumi installation has both, and this prints its folder. An engine that `make engine` built has neither: this builds the
newest that Go modules offer, beside copies of the engine's own programs. The Java host is older than `basePackage`, so its
module's generator `pulumi-java-gen` is built too.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from tools.engine import engine

HERE = Path(__file__).resolve().parent

#: The module that pins it, the package, and the name of the program.
PROGRAMS = (
    ("go", "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go", "pulumi-language-go-run"),
    ("java", "github.com/pulumi/pulumi-java/pkg/cmd/pulumi-language-java", "pulumi-language-java"),
    ("java", "github.com/pulumi/pulumi-java/pkg/cmd/pulumi-java-gen", "pulumi-java-gen"),
)


def main() -> int:
    """Print the folder; return the exit code."""
    try:
        found = engine.find() or engine.obtain()
        print(found if shutil.which("pulumi-language-java", path=found) else build(found))
    except engine.EngineError as error:
        engine.say(f"error: {error}")
        return 1
    return 0


def build(source: Path) -> Path:
    """Return a folder with the engine of `source` and the hosts; build it if needed.

    Raises `EngineError`.
    """
    modules = sorted(HERE.glob("*/go.*"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in modules)).hexdigest()
    target = engine.cache_folder() / f"languages-{digest[:8]}-{source.name}"
    if target.is_dir():
        return target
    go = shutil.which("go")
    if not go:
        raise engine.EngineError("no go to build the language hosts with: install Go 1.25.11 or newer")
    with engine.scratch() as folder:
        for program in source.iterdir():
            # A host looks for its other half beside the file that it is, so no link will do.
            shutil.copy2(program, folder / program.name)
        for module, package, name in PROGRAMS:
            engine.go_build(go, str(HERE / module), package, folder / name, "-s -w")
        folder.chmod(0o755)
        folder.rename(target)
    return target


if __name__ == "__main__":
    sys.exit(main())
