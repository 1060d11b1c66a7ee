"""The command line: ``serve`` runs a simulator, the other commands look at and steer one that runs.

    python -m pulumi_cbr.simulator serve --port 0 --state shares.json
    eval "$(python -m pulumi_cbr.simulator env)"

Exit codes: 0 done, 1 it did not work (one line on standard error says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

from pulumi_cbr.simulator.admin_client import AdminError, find_simulator
from pulumi_cbr.simulator.faults import FORMS
from pulumi_cbr.simulator.models import DISK, SERVER
from pulumi_cbr.simulator.registry import announce
from pulumi_cbr.stdout import forget_stdout

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except AdminError as failed:
        print(f"cbr simulator: {_clean(str(failed))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        forget_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pulumi_cbr.simulator",
        description="A local stand-in for the CBR service: identity and the members API, on loopback.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve until interrupted; the first line of output is the URL")
    serve.set_defaults(run=_serve)
    serve.add_argument("--port", type=_port, default=0, help="port on 127.0.0.1; 0 (the default) takes a free one")
    serve.add_argument("--state", metavar="FILE", help="keep the state in this file, and go on from it when it exists")
    serve.add_argument("--seed", type=int, default=1, help="where all IDs and secrets come from (1)")
    serve.add_argument("--backups", type=_count, default=12, help="how many server backups the owner has (12)")
    serve.add_argument("--bare-add-answer", action="store_true", help="answer an add with one bare member object")
    serve.add_argument(
        "--visible-after-reads", type=_count, default=0, metavar="N", help="hide a new member from N reads"
    )
    serve.add_argument(
        "--accept-after-reads", type=_count, metavar="N", help="receivers accept after N reads of the owner"
    )
    serve.add_argument(
        "--token-life", type=_seconds, default=86400.0, metavar="SECONDS", help="life of a token (86400)"
    )
    serve.add_argument("--latency", type=_seconds, default=0.0, metavar="SECONDS", help="wait before each answer (0)")
    serve.add_argument("--plain-catalogue", action="store_true", help="catalogue URLs without /v3/<project ID>")
    serve.add_argument("--region", action="append", help="region in the catalogue (eu-de); may be given again")
    serve.add_argument("--encrypted-allowed", action="store_true", help="encrypted backups can be shared")
    serve.add_argument("--disk-allowed", action="store_true", help="disk backups can be shared")
    serve.add_argument("--page-size", type=_count, default=1000, metavar="N", help="most entries on one page (1000)")
    serve.add_argument("--fault", action="append", default=[], metavar="LINE", help="a fault to begin with; see faults")

    env = commands.add_parser("env", help="print the export lines that sign a shell in to a running simulator")
    env.set_defaults(run=_env)
    env.add_argument("--as", dest="role", choices=("owner", "receiver"), default="owner", help="who to be (owner)")

    steps = {
        "share": ("share a backup behind everybody's back", _share),
        "accept": ("accept a share, as its receiver", _accept),
        "reject": ("reject a share, as its receiver", _reject),
        "withdraw": ("take a share away, as the owner", _withdraw),
    }
    for name, (text, run) in steps.items():
        step = commands.add_parser(name, help=text)
        step.set_defaults(run=run)
        step.add_argument("backup", help="the backup's UUID or name, such as backup-000")
        step.add_argument(
            "project", nargs="?", default="receiver", help="ID of the project it is shared with (receiver)"
        )
        if name == "accept":
            step.add_argument("--vault", help="the vault's UUID or name, such as servers (the first that fits)")

    listing = commands.add_parser("list", help="show backups, who they are shared with, projects and vaults")
    listing.set_defaults(run=_list)

    faults = commands.add_parser(
        "faults",
        help="show, add or clear faults",
        description="Without an argument: show the faults in force. Each line adds one, such as "
        "'the 3rd POST to /members: reset after commit', 'every GET to /members/.*: slow 2 s' or "
        f"'10% of * to /v3/.*: status 503 before commit'. What can happen: {FORMS}.",
    )
    faults.set_defaults(run=_faults)
    faults.add_argument("lines", nargs="*", metavar="LINE", help="a fault to add")
    faults.add_argument("--clear", action="store_true", help="clear all faults first")

    for name, command in commands.choices.items():
        if name != "serve":
            command.add_argument("--url", help="the simulator's URL (the one that was started last)")
        if name not in ("serve", "env"):
            command.add_argument("--json", action="store_true", help="print JSON")
    return parser


# serve


def _serve(options: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        from pulumi_cbr.simulator.server import Simulator

        simulator = Simulator(
            options.seed,
            port=options.port,
            state_file=options.state,
            bare_add_answer=options.bare_add_answer,
            visible_after_reads=options.visible_after_reads,
            accept_after_reads=options.accept_after_reads,
            token_life=options.token_life,
            latency=options.latency,
            backups=options.backups,
            catalogue_with_project=not options.plain_catalogue,
            regions=tuple(options.region or ["eu-de"]),
            encrypted_allowed=options.encrypted_allowed,
            disk_allowed=options.disk_allowed,
            page_size=options.page_size,
        )
        for line in options.fault:
            simulator.faults.scripted(line)
        simulator.start()
    except ImportError as missing:
        raise AdminError(f"{missing}; install pulumi-cbr[simulator]") from missing
    except OSError as problem:
        raise AdminError(f"cannot serve: {problem.strerror or problem}") from problem
    except ValueError as wrong:
        raise AdminError(str(wrong)) from wrong
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(announce(simulator.url, simulator.secret))
            except OSError as error:
                print(f"cbr simulator: not announced: {error}. Name it with --url", file=sys.stderr)
            try:
                print(simulator.url, flush=True)
                if sys.stderr.isatty():
                    print('sign a shell in: eval "$(python -m pulumi_cbr.simulator env)"', file=sys.stderr)
            except BrokenPipeError:
                forget_stdout()
            threading.Event().wait()
    finally:
        simulator.stop()
    return 0


def _leave(_number: int, _frame: object) -> NoReturn:
    """End at once, and let a second signal not disturb the end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


# The commands that talk to a running one


#: What a shell may have that is taken before, in place of, or beside a user's sign-in.
_OF_OTHERS = (
    "OS_CLOUD",
    "OS_TOKEN",
    "OS_AUTH_TOKEN",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_USER_ID",
    "OS_USER_DOMAIN_ID",
    "OS_SYSTEM_SCOPE",
    "OS_CACERT",
    "CBR_ENDPOINT",
)
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_NO_PROXIES = ("no_proxy", "NO_PROXY")

#: What `env` prints of a simulator's answer: a shell evaluates the names.
_SIGN_IN = (
    "OS_AUTH_URL",
    "OS_USERNAME",
    "OS_PASSWORD",
    "OS_USER_DOMAIN_NAME",
    "OS_PROJECT_ID",
    "OS_REGION_NAME",
    "OS_IDENTITY_API_VERSION",
)


def _env(options: argparse.Namespace) -> int:
    simulator = find_simulator(options.url)
    answer = simulator.send("GET", f"/env/{options.role}")
    variables: dict[str, str] = {}
    for name in _SIGN_IN:
        value = answer.get(name)
        if not isinstance(value, str) or not value.isprintable():
            raise AdminError(f"not a simulator's URL: {simulator.url}")
        variables[name] = value
    # What this shell has for a real cloud would come before the simulator: empty counts as not set.
    others = [name for name in _OF_OTHERS if os.environ.get(name)]
    before = dict.fromkeys(others, "")
    if os.environ.get("OS_AUTH_TYPE"):
        before["OS_AUTH_TYPE"] = "password"  # an empty one would mean not to sign in at all
    for name, value in {**before, **variables, **dict(_past_proxies())}.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _past_proxies() -> Iterator[tuple[str, str]]:
    """Give what keeps calls to this machine away from the shell's proxy, where it has one."""
    if any(os.environ.get(name) for name in _PROXIES):
        present = next((hosts for name in _NO_PROXIES if (hosts := os.environ.get(name))), "")
        covered = {"*", "127.0.0.1"} & {host.strip() for host in present.split(",")}
        for name in _NO_PROXIES:
            yield name, present if covered else ",".join(filter(None, [present, "127.0.0.1"]))


def _share(options: argparse.Namespace) -> int:
    return _step(options, "share")


def _accept(options: argparse.Namespace) -> int:
    return _step(options, "accept", vault_id=options.vault)


def _reject(options: argparse.Namespace) -> int:
    return _step(options, "reject")


def _withdraw(options: argparse.Namespace) -> int:
    return _step(options, "withdraw")


def _step(options: argparse.Namespace, step: str, **more: str | None) -> int:
    simulator = find_simulator(options.url)
    there = simulator.read_status()
    ids = {name: id_ for id_, name in _names(there).items()}
    wanted = {"backup_id": options.backup, "project_id": options.project, **more}
    member = simulator.send("POST", f"/{step}", {name: ids.get(str(value), value) for name, value in wanted.items()})
    if _wants_json(options):
        _print_json(member)
    elif member:
        _members([member], _names(there))
    else:
        print(f"withdrawn: {options.backup} from {options.project}")
    return 0


def _list(options: argparse.Namespace) -> int:
    there = find_simulator(options.url).read_status()
    if _wants_json(options):
        _print_json(there)
        return 0
    backups = there["backups"]
    rows = [[b["id"], b["name"], b["status"], _object(b["resource_type"]), str(len(b["members"]))] for b in backups]
    _table("Backups", ["ID", "Name", "Status", "Of", "Members"], rows)
    names = _names(there)
    _members([member for backup in backups for member in backup["members"]], names)
    _table(
        "Projects to share with", ["ID", "Name"], [[project, names.get(project, "")] for project in there["projects"]]
    )
    vaults = [[vault["id"], vault["name"], vault["object_type"], vault["status"]] for vault in there["vaults"]]
    _table("The receiver's vaults", ["ID", "Name", "For", "Status"], vaults)
    return 0


def _faults(options: argparse.Namespace) -> int:
    simulator = find_simulator(options.url)
    if options.clear:
        simulator.send("DELETE", "/faults")
    for line in options.lines:
        simulator.send("POST", "/faults", {"script": line})
    there = simulator.send("GET", "/faults")
    if _wants_json(options):
        _print_json(there)
        return 0
    rows = [[fault["kind"], fault["method"], fault["path"], _when(fault)] for fault in there["faults"]]
    _table("Faults", ["What", "Method", "Path", "When"], rows)
    return 0


def _when(fault: dict[str, Any]) -> str:
    if fault["probability"] is not None:
        return f"{100 * fault['probability']:g}% from the {fault['nth']}."
    if fault["times"] == 1:
        return f"the {fault['nth']}."
    times = "all that follow" if fault["times"] is None else f"{fault['times']} times"
    return f"from the {fault['nth']}., {times}"


def _object(resource_type: str) -> str:
    return {SERVER: "server", DISK: "disk"}.get(resource_type, resource_type)


def _names(there: dict[str, Any]) -> dict[str, str]:
    """Give the names of what has one, by ID: they are accepted for IDs."""
    named = {entry["id"]: entry["name"] for kind in ("backups", "vaults") for entry in there[kind]}
    return {**named, there["receiver"]: "receiver"}


def _members(members: Sequence[dict[str, Any]], names: dict[str, str]) -> None:
    rows = [
        [
            names.get(member["backup_id"], member["backup_id"]),
            names.get(member["dest_project_id"], member["dest_project_id"]),
            member["status"],
            names.get(member["vault_id"], member["vault_id"] or ""),
        ]
        for member in members
    ]
    _table("Members", ["Backup", "Project", "Status", "Vault"], rows)


# Output


def _wants_json(options: argparse.Namespace) -> bool:
    """JSON when asked, and when it goes to a program rather than to a terminal."""
    return bool(options.json) or not sys.stdout.isatty()


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError as missing:
        raise AdminError("tables need rich: install pulumi-cbr[simulator], or say --json") from missing
    if not rows:
        print(f"{title}: none")
        return
    # Narrow enough for an ID in one piece on a terminal of 80 columns.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Bare text would be read as markup, and a path may have brackets.
        table.add_row(*(Text(_clean(cell)) for cell in row))
    Console().print(table)


def _clean(text: str) -> str:
    """Return text that a terminal shows and does not obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("must be a number, at least 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError("must be seconds, at least 0")
    return seconds
