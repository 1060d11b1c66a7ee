"""Looking at everything that a share needs, from the engine on PATH to the permission for each call, without changing it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice

from pulumi_cbr.api import CbrClient, CbrError, NotAllowed, NotFound, ServiceError, Settings, load
from pulumi_cbr.api.settings import SETTINGS, ConfigLookup, nothing_configured

SUMMARY = "check the engine, the settings, the sign-in and the permissions"

#: No backup and no project has these IDs: a call about them shows whether it is allowed, and cannot change anything.
_NO_BACKUP = "00000000-0000-0000-0000-000000000000"
_NO_PROJECT = "0" * 32

_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is ``ok``, ``note`` (works, or is not needed by all) or ``failed``."""

    topic: str
    state: str
    what: str
    advice: str = ""


def run(*, cloud: str | None, stack: str | None, as_json: bool) -> int:
    """Look at all of it, print what was found, and give the exit code: 1 where something failed."""
    findings = []
    for finding in _findings(cloud, stack):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    failed = sum(finding.state == "failed" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(f"\n{f'{failed} failed: see above' if failed else 'All is well.'}")
    return 1 if failed else 0


def _line(finding: Finding) -> str:
    sign = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}[finding.state]
    text = textwrap.fill(
        finding.what, _WIDTH, subsequent_indent=" " * 21, break_long_words=False, break_on_hyphens=False
    )
    lines = [f"{sign} {finding.topic:<13} {text}"]
    if finding.advice:
        indent = " " * 21
        lines.append(textwrap.fill(finding.advice, _WIDTH, initial_indent=indent, subsequent_indent=indent))
    return "\n".join(lines)


def _findings(cloud: str | None, stack: str | None) -> Iterator[Finding]:
    yield from _packages()
    yield from _engine()
    config, finding = _configuration(stack)
    yield finding
    yield from _settings(config, cloud)
    try:
        settings = load(config, cloud=cloud)
    except CbrError as error:
        yield Finding("sign-in", "failed", str(error))
        return
    yield from _account(settings)


def _packages() -> Iterator[Finding]:
    names = ("pulumi-cbr", "pulumi", "requests", "keystoneauth1")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    yield Finding("packages", "ok", f"{found}, Python {platform.python_version()}")
    try:
        yield Finding("clouds.yaml", "ok", f"openstacksdk {version('openstacksdk')}")
    except PackageNotFoundError:
        yield Finding(
            "clouds.yaml", "note", "openstacksdk is not installed", "To use `cloud`: pip install 'pulumi-cbr[clouds]'"
        )


def _engine() -> Iterator[Finding]:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        yield Finding(
            "engine", "failed", "`pulumi` is not on PATH", "Install the Pulumi CLI, or run `make engine` in a clone."
        )
    else:
        told = subprocess.run([pulumi, "version"], capture_output=True, text=True, check=False)
        yield Finding("engine", "ok", f"{told.stdout.strip() or 'of unknown version'} at {pulumi}")
    for name, needed in (
        ("pulumi-language-python", "runs Python programs"),
        ("pulumi-resource-pulumi-python", "runs the dynamic resources"),
        ("pulumi-resource-cbr", "is the first-class provider of pulumi_cbr.native"),
    ):
        path = shutil.which(name)
        if path:
            yield Finding("engine", "ok", f"{name} at {path}")
        elif name == "pulumi-resource-cbr":
            yield Finding(
                "engine", "note", f"{name}, which {needed}, is not on PATH", "Activate the virtual environment."
            )
        else:
            yield Finding(
                "engine",
                "failed",
                f"{name}, which {needed}, is not on PATH",
                "It comes with the Pulumi CLI: put the folder that has `pulumi` on PATH.",
            )


def _configuration(stack: str | None) -> tuple[ConfigLookup, Finding]:
    command = [
        "pulumi",
        "config",
        "--json",
        "--show-secrets",
        "--non-interactive",
        *(["--stack", stack] if stack else []),
    ]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return nothing_configured, Finding("stack", "note", f"its configuration was not read: {error}")
    if told.returncode:
        reason = (told.stderr.strip().splitlines() or ["pulumi says nothing"])[0].removeprefix("error: ")
        state = "failed" if stack else "note"
        advice = "Run this in the folder of a Pulumi project to have its stack's `cbr:*` settings looked at too."
        return nothing_configured, Finding("stack", state, f"no configuration of a stack was read: {reason}", advice)
    values = {name: entry.get("value") for name, entry in json.loads(told.stdout or "{}").items()}
    count = sum(name.startswith("cbr:") for name in values)
    return lambda name: values.get(f"cbr:{name}"), Finding(
        "stack", "ok", f"its configuration has {count} settings cbr:*"
    )


def _settings(config: ConfigLookup, cloud: str | None) -> Iterator[Finding]:
    if cloud:
        yield Finding(
            "setting", "ok", f"cloud = {cloud}, from --cloud: its entry of clouds.yaml comes before all below"
        )
    for name, setting in SETTINGS.items():
        places = [f"cbr:{name}"] if config(name) not in (None, "") else []
        places += [variable for variable in setting.variables if os.environ.get(variable)]
        if places:
            value = config(name) if places[0].startswith("cbr:") else os.environ[places[0]]
            shown = "(not shown)" if setting.secret else value
            others = f" (before {', '.join(places[1:])})" if places[1:] else ""
            yield Finding("setting", "ok", f"{name} = {shown}, from {places[0]}{others}")


def _account(settings: Settings) -> Iterator[Finding]:
    client = CbrClient(settings)
    ways = {"accessKey": "access keys", "applicationCredential": "an application credential", "cloud": "clouds.yaml"}
    way = ways.get(settings.method, f"a {settings.method}")
    try:
        project = client.project_id()
        endpoint = client.endpoint()
    except CbrError as error:
        yield Finding("sign-in", "failed", str(error))
        return
    yield Finding("sign-in", "ok", f"with {way}, to project {project}")
    yield Finding("endpoint", "ok", endpoint)
    calls: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("list backups", "cbr:backups:list", lambda: list(islice(client.list_backups(), 1))),
        ("show a backup", "cbr:backups:get", lambda: client.show_backup(_NO_BACKUP)),
        ("list shares", "cbr:member:list", lambda: client.list_members(_NO_BACKUP)),
        ("show a share", "cbr:member:get", lambda: client.show_member(_NO_BACKUP, project)),
        ("share", "cbr:member:create", lambda: client.add_members(_NO_BACKUP, [_NO_PROJECT])),
        ("withdraw", "cbr:member:delete", lambda: client.delete_member(_NO_BACKUP, _NO_PROJECT)),
        ("accept, reject", "cbr:member:update", lambda: client.update_member(_NO_BACKUP, project, "rejected")),
    )
    for what, action, call in calls:
        yield _allowed(what, action, call)


def _allowed(what: str, action: str, call: Callable[[], object]) -> Finding:
    try:
        call()
    except NotFound:
        pass  # as it should be: there is no such backup
    except NotAllowed as error:
        # Who only receives needs no permission to share, and the other way round.
        return Finding(
            "permission", "note", f"may not {what}: {error}", f"Where you need it, ask for the IAM action {action}."
        )
    except ServiceError as error:
        if not error.code.startswith("BackupService."):
            return Finding("permission", "failed", f"{what}: {error}")
    except CbrError as error:
        return Finding("permission", "failed", f"{what}: {error}")
    return Finding("permission", "ok", f"may {what} ({action})")
