"""Write the plugin's release archives into a folder that has the wheel: `release.py dist`.

`pulumi plugin install resource cbr <version> --file <archive>` unpacks one and installs the wheel in it into an environment of
the plugin's own. All archives have the same content: the engine asks for one by the name of its system.
"""

from __future__ import annotations

import io
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[1] / "provider" / "plugin"

SYSTEMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64")


def write_archives(folder: Path) -> list[Path]:
    """Write an archive for each system; return their paths."""
    (wheel,) = folder.glob(f"pulumi_cbr-{version('pulumi-cbr')}-*.whl")
    files = {path.name: path.read_bytes() for path in sorted(PLUGIN.iterdir()) if path.is_file()}
    files["requirements.txt"] = f"./{wheel.name}\n".encode()
    files[wheel.name] = wheel.read_bytes()
    archives = []
    for system in SYSTEMS:
        path = folder / f"pulumi-resource-cbr-v{version('pulumi-cbr')}-{system}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        archives.append(path)
    return archives


if __name__ == "__main__":
    for written in write_archives(Path(sys.argv[1])):
        print(written)
