"""Runs of Terraform that share the same backups, with a provider that the caller has at hand.

The provider is the one of Huawei Cloud, with its resource `huaweicloud_cbr_backup_share`. Terraform takes the binary
where it lies (`dev_overrides`), so it asks no registry, and does not check the hash of the file at each start.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from bench.stacks import Run, Shares, Simulator, execute, kind_of, without_ours

#: Variables with the paths of Terraform and of the provider.
TERRAFORM, PROVIDER = "BENCH_TERRAFORM", "BENCH_TERRAFORM_PROVIDER"

_SOURCE = "huaweicloud/huaweicloud"
_PLUGIN = "terraform-provider-huaweicloud"

#: What does the same as each operation of the engine. A plan reads the shares, a preview does not.
_COMMANDS = {
    "up": ("apply", "-auto-approve"),
    "preview": ("plan",),
    "refresh": ("refresh",),
    "destroy": ("destroy", "-auto-approve"),
}


def find_missing(variables: Mapping[str, str]) -> str | None:
    """Return why Terraform cannot be measured here, None if it can."""
    for name, what in (TERRAFORM, "terraform"), (PROVIDER, _PLUGIN):
        path = variables.get(name)
        if not path:
            return f"set {name} to the path of the {what} binary"
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            return f"{name} is {path}, which is no program"
    return None


def to_configuration(shares: Shares, url: str) -> dict[str, Any]:
    """Return what a user writes for these shares: one resource for each backup."""
    return {
        "terraform": {"required_providers": {"huaweicloud": {"source": _SOURCE}}},
        "provider": {"huaweicloud": {"endpoints": {"cbr": f"{url}/", "iam": f"{url}/"}}},
        "resource": {
            "huaweicloud_cbr_backup_share": {
                f"share-{backup}": {
                    "backup_id": backup,
                    "members": [{"dest_project_id": project} for project in projects],
                }
                for backup, projects in shares
            }
        },
    }


def to_settings(plugins: Path) -> str:
    """Return the command line's settings for a provider in a folder, without a registry."""
    return f'provider_installation {{\n  dev_overrides {{\n    "{_SOURCE}" = "{plugins}"\n  }}\n  direct {{}}\n}}\n'


class TerraformStack:
    """One state of Terraform, in a folder of its own."""

    def __init__(self, folder: Path, service: Simulator, sign_in: Mapping[str, str]) -> None:
        plugins = folder / "plugins"
        plugins.mkdir(parents=True)
        (plugins / _PLUGIN).symlink_to(os.path.realpath(os.environ[PROVIDER]))
        (folder / "terraform.tfrc").write_text(to_settings(plugins))
        #: The real provider has more than 150 MB.
        self.provider_mb = os.path.getsize(os.environ[PROVIDER]) / 1e6
        self._terraform = os.path.realpath(os.environ[TERRAFORM])
        self._folder = folder
        self._service = service
        self._env = {
            **without_ours(),
            **sign_in,
            "HW_AUTH_URL": f"{service.url}/v3",
            # The provider asks the public cloud's website and its own newest version otherwise.
            "HW_CLOUD": "localhost",
            "SKIP_CHECK_WEBSITE_TYPE": "true",
            "SKIP_CHECK_UPGRADE": "true",
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.tfrc"),
            "TF_IN_AUTOMATION": "1",
        }

    def run(self, operation: str, shares: Shares) -> Run:
        """Run the counterpart of the engine's `up`, `preview`, `refresh` or `destroy`."""
        configuration = to_configuration(shares, self._service.url)
        (self._folder / "main.tf.json").write_text(json.dumps(configuration))
        self._service.forget_calls()
        began = monotonic()
        command = [self._terraform, *_COMMANDS[operation], "-input=false", "-no-color"]
        watch = execute(command, self._folder, self._env)
        return Run(
            seconds=monotonic() - began,
            plugin_mb=watch.plugin_mb,
            plugin_cpu_seconds=watch.cpu_seconds("plugin"),
            program_cpu_seconds=0.0,
            calls=Counter(kind_of(call) for call in self._service.calls()),
        )
