"""Draw docs/shares.png: the page of `shares --html` for the simulator's shares, in headless Chromium.

Run it with the engine, chromium and chromedriver on PATH. `--dark` shows the dark colors, `--to FILE` writes elsewhere.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pulumi_cbr.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "shares.png"
BACKUPS, PROJECTS = 12, 6
WIDTH, HEIGHT = 1280, 860


def write_page(folder: Path) -> Path:
    """Return the page of a project of which a stack manages the shares of some servers.

    Raises CalledProcessError if a command fails.
    """
    with Simulator(backups=BACKUPS) as simulator:
        _share(simulator)
        environment = {
            **os.environ,
            **simulator.env(),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "picture",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }
        (folder / "Pulumi.yaml").write_text("name: backups\nruntime: python\n")
        _run(folder, environment, "pulumi", "stack", "init", "prod")
        shares = (sys.executable, "-m", "pulumi_cbr", "shares")
        adopted = _run(folder, environment, *shares, "--adopt", "import", "--server", "server-00*")
        (folder / "adopted.json").write_text(adopted)
        _run(folder, environment, "pulumi", "import", "--yes", "--skip-preview", "--file", "adopted.json")
        _run(folder, environment, *shares, "--stack", "prod", "--html", "page.html")
    return folder / "page.html"


def _share(simulator: Simulator) -> None:
    """Share some backups with some projects, the same each time."""
    chance = random.Random(1)  # noqa: S311
    for backup in simulator.backups:
        for project in simulator.projects[:PROJECTS]:
            status = chance.choice(("accepted", "accepted", "accepted", "pending", "rejected", ""))
            if status:
                simulator.share(backup.id, project, status)


def _run(folder: Path, environment: Mapping[str, str], *command: str) -> str:
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def photograph(page: Path, *, dark: bool) -> bytes:
    """Return the top of a page as PNG, in light or dark colors."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        browser.get(page.as_uri())
        picture: bytes = browser.get_screenshot_as_png()
        return picture


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dark", action="store_true", help="in dark colors")
    parser.add_argument("--to", type=Path, default=PICTURE, help="the file (docs/shares.png)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pulumi-cbr-shares-") as folder:
        given.to.write_bytes(photograph(write_page(Path(folder)), dark=given.dark))


if __name__ == "__main__":
    main()
