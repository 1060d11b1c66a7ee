"""Check all that a share needs, from the engine on PATH to the permission for each call. Nothing is changed."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pulumi_cbr import messages
from pulumi_cbr.api import (
    CbrClient,
    CbrError,
    NotAllowed,
    NotSignedIn,
    ServiceError,
    ServiceUnavailableError,
    Settings,
    UnexpectedResponseError,
)
from pulumi_cbr.api.precedence import Place, Usage, find_contradictions
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.settings import SETTINGS, check_names, resolve_settings, settings_from

SUMMARY = "check the engine, the settings, the sign-in and the permissions"

#: IDs that nothing has: a call about them shows whether it is allowed, and changes nothing.
_NO_BACKUP = "00000000-0000-0000-0000-000000000000"
_NO_PROJECT = "0" * 32

#: What each IAM action allows, and what needs it.
_ACTIONS = {
    "cbr:backups:list": ("list backups", "`get_backups`, the components and `python -m pulumi_cbr shares`"),
    "cbr:backups:get": ("show a backup", "`get_backup`, and to confirm that a backup is gone"),
    "cbr:member:list": (
        "list shares",
        "changes of a `BackupShare`, and without cbr:member:get for `pulumi refresh` and `pulumi destroy` too",
    ),
    "cbr:member:get": ("show a share", "`pulumi refresh` and `pulumi destroy` without cbr:member:list"),
    "cbr:member:create": ("share", "the owner's `pulumi up`"),
    "cbr:member:delete": ("delete a share", "the owner's `pulumi destroy`, and for changes of a `BackupShare`"),
    "cbr:member:update": ("accept, reject", "a `BackupShareAccepter`"),
}

#: A stack's settings cbr:* as `pulumi config --json` gives them.
_Entries = Mapping[str, Mapping[str, Any]]

_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    `state` is ``ok``, ``note`` (works, or is not needed by all) or ``failed``.
    """

    topic: str
    state: str
    what: str
    advice: str = ""


class Contradiction(Finding):
    """Two different values of one setting."""


@dataclass(frozen=True)
class _Program:
    """A program that the engine starts; `is_of_pulumi` if the Pulumi CLI brings it."""

    name: str
    purpose: str
    is_of_pulumi: bool = True


_PROGRAMS = (
    _Program("pulumi-language-python", "runs Python programs"),
    _Program("pulumi-resource-pulumi-python", "runs the dynamic resources"),
    _Program("pulumi-resource-cbr", "is the first-class provider of pulumi_cbr.native", is_of_pulumi=False),
)


def run(*, cloud: str | None, stack: str | None, as_json: bool) -> int:
    """Run all checks, print what they find, and return the exit code: 1 if one failed."""
    findings = []
    for finding in _findings(cloud, stack):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    has_failed = any(finding.state == "failed" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not has_failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(f"\n{_summary(findings)}")
    return int(has_failed)


def _summary(findings: Sequence[Finding]) -> str:
    if failed := sum(finding.state == "failed" for finding in findings):
        return messages.doctor_failed(failed)
    if missing := sum((finding.topic, finding.state) == ("permission", "note") for finding in findings):
        return messages.doctor_permissions_missing(missing)
    if any(isinstance(finding, Contradiction) for finding in findings):
        return messages.doctor_contradictions()
    return messages.doctor_succeeded()


def _line(finding: Finding) -> str:
    sign = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}[finding.state]
    indent = " " * 21

    def wrap(text: str) -> str:
        return textwrap.fill(
            text,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    first = f"{sign} {finding.topic:<13} {wrap(finding.what).lstrip()}"
    return f"{first}\n{wrap(finding.advice)}" if finding.advice else first


def _findings(cloud: str | None, stack: str | None) -> Iterator[Finding]:
    yield from _packages()
    yield from _engine()
    entries, configuration = _configuration(stack)
    secrets = [str(entry["value"]) for entry in entries.values() if entry.get("secret") and entry.get("value")]
    for finding in chain((configuration,), _check_names(entries), _signing_in(entries, cloud)):
        yield replace(finding, what=_redact(finding.what, secrets), advice=_redact(finding.advice, secrets))


def _redact(text: str, secrets: Iterable[str]) -> str:
    """Hide the credentials of URLs and the secrets of the stack.

    Messages shorten long values: the beginning of a secret is hidden too.
    """
    # Ordinary words contain shorter ones.
    long = [secret for secret in secrets if len(secret) >= 4]
    text = Redactor([*long, *(secret[:40] for secret in long)]).redact(text)
    text = re.sub(r"(?<=//)[^\s'\"]*@", "***@", text)
    return re.sub(r"(//[^\s?'\"]*\?)[^\s'\"]*[^\s'\",]", r"\1***", text)


def _packages() -> Iterator[Finding]:
    names = ("pulumi-cbr", "pulumi", "requests", "keystoneauth1")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    yield Finding("packages", "ok", f"{found}, Python {platform.python_version()}")
    try:
        yield Finding("clouds.yaml", "ok", f"openstacksdk {version('openstacksdk')}")
    except PackageNotFoundError:
        yield Finding("clouds.yaml", "note", messages.openstacksdk_missing(), messages.install_openstacksdk())


def _engine() -> Iterator[Finding]:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        yield Finding("engine", "failed", messages.pulumi_not_on_path(), messages.install_pulumi())
    else:
        try:
            completed = _run(pulumi, "version")
            yield Finding("engine", "ok", f"{completed.stdout.strip() or 'of unknown version'} at {pulumi}")
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Finding("engine", "failed", messages.pulumi_broken(pulumi, str(error)), messages.reinstall_pulumi())
    for program in _PROGRAMS:
        path = shutil.which(program.name)
        if pulumi and not path and program.is_of_pulumi:
            # An installation may put a link to the CLI alone on PATH.
            path = shutil.which(program.name, path=Path(pulumi).resolve().parent)
        if path:
            yield Finding("engine", "ok", f"{program.name} at {path}")
            continue
        missing = messages.plugin_not_on_path(program.name, program.purpose)
        if program.is_of_pulumi:
            yield Finding("engine", "failed", missing, messages.add_pulumi_folder())
        else:
            yield Finding("engine", "note", missing, messages.activate_environment())


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=60)


def _configuration(stack: str | None) -> tuple[_Entries, Finding]:
    options = ("--json", "--show-secrets", "--non-interactive", *(("--stack", stack) if stack else ()))
    try:
        completed = _run("pulumi", "config", *options)
    except FileNotFoundError:
        return {}, Finding("stack", "note", messages.configuration_not_read(messages.pulumi_not_on_path()))
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, Finding("stack", "note", messages.configuration_not_read(str(error)))
    state = "failed" if stack else "note"
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or [messages.PULUMI_WAS_SILENT])[0].removeprefix("error: ")
        advice = ""
        if "no Pulumi.yaml" in reason:
            advice = messages.run_in_project_folder()
        return {}, Finding("stack", state, messages.no_configuration(reason), advice)
    try:
        printed = json.loads(completed.stdout or "{}").items()
    except (ValueError, AttributeError):
        return {}, Finding("stack", state, messages.no_configuration(messages.NO_JSON))
    entries: _Entries = {name.removeprefix("cbr:"): entry for name, entry in printed if name.startswith("cbr:")}
    return entries, Finding("stack", "ok", messages.configuration_read(len(entries)))


def _check_names(entries: _Entries) -> Iterator[Finding]:
    for name in entries:
        try:
            check_names([name])
        except CbrError as error:
            yield Finding("stack", "failed", str(error))


def _signing_in(entries: _Entries, cloud: str | None) -> Iterator[Finding]:
    def config(name: str) -> object:
        return entries.get(name, {}).get("value")

    if cloud:
        yield Finding("setting", "ok", messages.cloud_of_option(cloud))
    try:
        resolution = resolve_settings(config, cloud=cloud)
    except CbrError as error:
        # Without a choice of credentials, show the values as they are.
        yield from _found_values(entries)
        yield Finding("sign-in", "failed", str(error))
        return
    try:
        yield from _list_values(entries, resolution.usages)
        yield from _contradiction_findings(resolution.usages, state="note" if cloud else "failed")
        if resolution.also_complete:
            others = [place.value for place in resolution.also_complete]
            yield Finding("setting", "note", messages.both_environments(resolution.rule.credentials_from.value, others))
        settings = settings_from(resolution)
    except CbrError as error:
        yield Finding("sign-in", "failed", str(error))
        return
    yield from _check_account(settings, Place.ENTRY.value if settings.cloud else resolution.method.description)


def _list_values(entries: _Entries, usages: Sequence[Usage]) -> Iterator[Finding]:
    """Show each value that was found, where it comes from, and why it is not used."""
    for usage in usages:
        shown = _show_value(entries, usage.value.name, usage.value.value, usage.value.origin)
        if usage.is_used:
            yield Finding("setting", "ok", shown)
        else:
            yield Finding("setting", "note", messages.value_not_used(shown, usage.reason))


def _found_values(entries: _Entries) -> Iterator[Finding]:
    """Show what the stack and the environment have, as it is written."""
    for name, setting in SETTINGS.items():
        found = {f"cbr:{name}": entries.get(name, {}).get("value")}
        found |= {variable: os.environ.get(variable) for variable in setting.variables}
        for origin, value in found.items():
            if value not in (None, ""):
                yield Finding("setting", "ok", _show_value(entries, name, value, origin))


def _show_value(entries: _Entries, name: str, value: object, origin: str) -> str:
    is_secret = SETTINGS[name].secret or (origin.startswith("cbr:") and entries[name].get("secret"))
    text = "***" if is_secret else str(value)
    if name in ("authUrl", "endpoint") and "//" not in text and "@" in text:
        text = f"//{text}"
    return messages.value_found(name, text, origin)


def _contradiction_findings(usages: Sequence[Usage], state: str) -> Iterator[Finding]:
    for name, first, second in find_contradictions(usages):
        what = messages.contradiction(first.origin, second.origin, name)
        yield Contradiction("setting", state, what, messages.unset_one(name))


def _check_account(settings: Settings, method: str) -> Iterator[Finding]:
    client = CbrClient(settings)
    try:
        project = client.project_id()
        endpoint = client.endpoint()
    except CbrError as error:
        yield Finding("sign-in", "failed", str(error))
        return
    name = settings.project_name
    # A token that is fetched tells its project; keys and a given token do not.
    if not name or (settings.project_id and settings.method in ("accessKey", "token")):
        actual = _project_name(client, project)
        if name and actual and name.casefold() != actual.casefold():
            place = settings.where_to_set("projectName")
            yield Finding(
                "sign-in",
                "failed",
                messages.project_has_other_name(project, actual, name),
                messages.correct_or_remove(place),
            )
            return
        name = actual or name
    yield Finding("sign-in", "ok", messages.signed_in(method, project, name, settings.region))
    yield from _permissions(client, project, endpoint)


def _permissions(client: CbrClient, project: str, endpoint: str) -> Iterator[Finding]:
    """Yield whether the endpoint responds, and whether each call is allowed."""
    calls: dict[str, Callable[[], object]] = {
        "cbr:backups:list": lambda: list(islice(client.list_backups(), 1)),
        "cbr:backups:get": lambda: client.show_backup(_NO_BACKUP),
        "cbr:member:list": lambda: client.list_members(_NO_BACKUP),
        "cbr:member:get": lambda: client.show_member(_NO_BACKUP, project),
        "cbr:member:create": lambda: client.add_members(_NO_BACKUP, [_NO_PROJECT]),
        "cbr:member:delete": lambda: client.delete_member(_NO_BACKUP, _NO_PROJECT),
        "cbr:member:update": lambda: client.update_member(_NO_BACKUP, project, "rejected"),
    }
    for index, (action, call) in enumerate(calls.items()):
        refusal = _catch(call)
        if index == 0:
            wrong = isinstance(refusal, UnexpectedResponseError) and not refusal.has_service_code
            if wrong or isinstance(refusal, ServiceUnavailableError):
                # All the others would fail the same way, after as long a wait.
                yield Finding("endpoint", "failed", f"{endpoint}: {refusal}")
                return
            yield Finding("endpoint", "ok", endpoint)
        yield _permission(action, refusal)


def _project_name(client: CbrClient, project: str) -> str | None:
    """Return the name of a project if the identity service tells it."""
    try:
        return next((found.name for found in client.list_projects() if found.id == project), None)
    except CbrError:
        return None


def _catch(call: Callable[[], object]) -> CbrError | None:
    try:
        call()
    except CbrError as error:
        return error
    return None


def _permission(action: str, error: CbrError | None) -> Finding:
    what, purpose = _ACTIONS[action]
    if isinstance(error, NotAllowed):
        # A receiver needs no permission to share, and an owner none to accept. A gateway refuses for other reasons.
        is_known = messages.needs_permission(action) in str(error)
        cause = messages.refused_with(error.status, error.request_id) if is_known else str(error)
        advice = messages.permission_needed_for(purpose, action if is_known else None)
        return Finding("permission", "note", messages.not_permitted(what, cause), advice)
    # With the permission, the service says that there is no such backup, or names another fault of the request.
    refused = isinstance(error, ServiceError) and error.has_service_code and error.status < 500
    if error is None or (refused and not isinstance(error, NotSignedIn)):
        return Finding("permission", "ok", messages.permitted(what, action))
    return Finding("permission", "failed", f"{what}: {error}")
