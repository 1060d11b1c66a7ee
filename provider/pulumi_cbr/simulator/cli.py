"""The command line: ``serve`` runs a simulator, other commands read and change it.

    python -m pulumi_cbr.simulator serve --port 0 --state shares.json
    eval "$(python -m pulumi_cbr.simulator env)"

Exit codes: 0 for success, 1 for a failure (one line on standard error has the reason), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import Field, fields
from typing import Any, NoReturn

from pulumi_cbr.api.definitions import SETTINGS, UNSUPPORTED_VARIABLES
from pulumi_cbr.simulator.actions import Action, find_actions
from pulumi_cbr.simulator.admin_client import AdminClient, AdminError, find_simulator
from pulumi_cbr.simulator.faults import FORM_HELP
from pulumi_cbr.simulator.models import DISK, SERVER
from pulumi_cbr.simulator.options import Options
from pulumi_cbr.simulator.output import clean, print_json, print_table, wants_json, with_readable_times
from pulumi_cbr.simulator.registry import announce
from pulumi_cbr.simulator.server import Simulator
from pulumi_cbr.stdout import forget_stdout

__all__ = ["main"]

#: Parameters of actions that take a name in place of an ID, with what their argument is called and its help.
_RESOURCES = {
    "backup_id": ("backup", "the backup's UUID or name, such as backup-000"),
    "project_id": ("project", "ID of the project that it is shared with (receiver)"),
    "vault_id": ("vault", "the vault's UUID or name, such as servers"),
    "server": ("server", "the server's UUID or name, such as server-000; another name makes a new server"),
}

_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_NO_PROXIES = ("no_proxy", "NO_PROXY")

#: The variables that `env` prints of a simulator's response: a shell evaluates the names.
_SIGN_IN = (
    "OS_AUTH_URL",
    "OS_USERNAME",
    "OS_PASSWORD",
    "OS_USER_DOMAIN_NAME",
    "OS_PROJECT_ID",
    "OS_REGION_NAME",
    "OS_IDENTITY_API_VERSION",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = 1
    try:
        code = _run(words)
    except SystemExit as ended:  # `--help` ends with 0
        code = 1 if ended.code else 0
        raise
    finally:
        if code and words[:1] == ["env"]:
            # The `eval` of a shell then fails too; it does not see the exit code.
            print("false")
    return code


def _run(words: Sequence[str]) -> int:
    options = _make_parser().parse_args(words)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except AdminError as failed:
        print(f"cbr simulator: {clean(str(failed))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        forget_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pulumi_cbr.simulator",
        description="A simulator of the CBR service on loopback: identity and the members API.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve until interrupted; the first line of output is the URL")
    _add_serve_options(serve)

    env = commands.add_parser("env", help="print the export lines that sign a shell in to a running simulator")
    env.set_defaults(run=_env)
    env.add_argument("--as", dest="role", choices=("owner", "receiver"), default="owner", help="the account (owner)")

    for action in find_actions(Simulator).values():
        _add_action(commands.add_parser(_to_flag(action.name), help=_to_help(action.help)), action)

    listing = commands.add_parser("list", help="show backups and their members, projects and vaults")
    listing.set_defaults(run=_list)

    forms = (f"  {form}\n      {text}" for form, text in FORM_HELP.items())
    faults = commands.add_parser(
        "faults",
        help="show, add or clear faults",
        description="Without an argument: show the active faults. Each line adds one, such as\n"
        "'the 3rd POST to /members: reset after commit', 'every GET to /members/.*: slow 2 s' or\n"
        "'10% of * to /v3/.*: status 503 before commit'.",
        epilog="\n".join(
            ["what can happen (before commit: nothing is done; after commit: the change is made):", *forms]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    faults.set_defaults(run=_faults)
    faults.add_argument("lines", nargs="*", metavar="LINE", help="a fault to add")
    faults.add_argument("--clear", action="store_true", help="clear all faults first")

    for name, command in commands.choices.items():
        if name != "serve":
            command.add_argument(
                "--url", help="the simulator's URL (the one that OS_AUTH_URL names, or the only one that runs)"
            )
        if name not in ("serve", "env"):
            command.add_argument("--json", action="store_true", help="print JSON, as without a terminal")
    return parser


# serve


def _add_serve_options(serve: argparse.ArgumentParser) -> None:
    serve.set_defaults(run=_serve)
    for option in fields(Options):
        if option.metadata["flag"] != "":
            _add_option(serve, option)
    serve.add_argument("--fault", action="append", default=[], metavar="LINE", help="a fault to begin with; see faults")


def _add_option(serve: argparse.ArgumentParser, option: Field[Any]) -> None:
    """Add the flag of an option; one that is on by default is switched off by its flag."""
    flag = option.metadata["flag"] or f"--{_to_flag(option.name)}"
    default, metavar = option.default, option.metadata["metavar"]
    help = option.metadata["help"].replace("%", "%%")
    if isinstance(default, bool):
        text = f"switch off: {help}" if default else help
        serve.add_argument(flag, dest=option.name, action="store_false" if default else "store_true", help=text)
    elif isinstance(default, tuple):
        text = f"{help} ({', '.join(default)})"
        serve.add_argument(flag, dest=option.name, action="append", metavar=metavar, help=text)
    else:
        text = help if default is None else f"{help} ({default:g})"
        convert = _CONVERTERS.get(option.name) or _CONVERTERS.get(str(option.type), str)
        serve.add_argument(flag, dest=option.name, type=convert, default=default, metavar=metavar or "N", help=text)


def _serve(options: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    values = {option.name: getattr(options, option.name, None) for option in fields(Options)}
    try:
        simulator = Simulator(**{name: value for name, value in values.items() if value is not None})
        for line in options.fault:
            simulator.faults.scripted(line)
        simulator.start()
    except ImportError as error:
        raise AdminError(f"{error}; install pulumi-cbr[simulator]") from error
    except OSError as error:
        raise AdminError(f"cannot serve: {error.strerror or error}") from error
    except ValueError as error:
        raise AdminError(str(error)) from error
    try:
        _wait_for_signal(simulator)
    finally:
        simulator.stop()
    return 0


def _wait_for_signal(simulator: Simulator) -> NoReturn:
    """Announce the simulator, print its URL and wait for a signal, which exits."""
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
        while True:
            # Wait in short steps: a signal just before a wait does not end it.
            threading.Event().wait(1.0)


def _exit(_number: int, _frame: object) -> NoReturn:
    """Exit, and ignore further signals meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


# Commands for a running simulator


def _env(options: argparse.Namespace) -> int:
    simulator = _simulator_of(options)
    answer = simulator.send("GET", f"/env/{options.role}")
    variables: dict[str, str] = {}
    for name in _SIGN_IN:
        value = answer.get(name)
        if not isinstance(value, str) or not value.isprintable():
            raise AdminError(f"not a simulator's URL: {simulator.url}")
        variables[name] = value
    if conflicting := [name for name in _list_variables() if name in os.environ and name not in variables]:
        print("unset", *conflicting)
    for name, value in {**variables, **dict(_bypass_proxies())}.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _list_variables() -> Iterator[str]:
    """Yield every variable that takes part in signing in, or stops it."""
    for setting in SETTINGS.values():
        yield from setting.variables
    yield from UNSUPPORTED_VARIABLES


def _simulator_of(options: argparse.Namespace) -> AdminClient:
    """Return the simulator that the shell is signed in to, or the only one that runs."""
    return find_simulator(options.url, auth_url=os.environ.get("OS_AUTH_URL", ""))


def _bypass_proxies() -> Iterator[tuple[str, str]]:
    """Yield the variables that exclude this machine from the shell's proxy, if it has one."""
    if any(os.environ.get(name) for name in _PROXIES):
        present = next((hosts for name in _NO_PROXIES if (hosts := os.environ.get(name))), "")
        is_covered = {"*", "127.0.0.1"} & {host.strip() for host in present.split(",")}
        for name in _NO_PROXIES:
            yield name, present if is_covered else ",".join(filter(None, [present, "127.0.0.1"]))


def _add_action(command: argparse.ArgumentParser, action: Action) -> None:
    """Add the arguments of an action: required ones by position, others as flags."""
    command.set_defaults(run=lambda options: _act(options, action))
    for parameter in action.parameters:
        label, help = _RESOURCES.get(parameter.name, (_to_flag(parameter.name), ""))
        kind = _seconds if parameter.type is float else _boolean if parameter.type is bool else str
        if parameter.name == "project_id":
            command.add_argument(parameter.name, metavar=label, nargs="?", default="receiver", help=help)
        elif parameter.is_required:
            command.add_argument(parameter.name, metavar=label, type=kind, help=help)
        else:
            command.add_argument(f"--{label}", dest=parameter.name, type=kind, metavar="VALUE", help=help)


def _act(options: argparse.Namespace, action: Action) -> int:
    simulator = _simulator_of(options)
    status = simulator.read_status()
    ids = {name: id for id, name in _names(status).items()}
    wanted = {parameter.name: getattr(options, parameter.name) for parameter in action.parameters}
    for name in _RESOURCES.keys() & wanted.keys():
        wanted[name] = ids.get(wanted[name], wanted[name])
    result = simulator.send("POST", f"/{action.name}", wanted)
    # Most actions answer with nothing, which looks like a failure.
    given = {name: value for name, value in wanted.items() if value is not None}
    if wants_json(options.json):
        print_json(result or {"done": _to_flag(action.name), **given})
    elif "dest_project_id" in result:
        _print_members([result], _names(status))
    else:
        done = " ".join([_to_flag(action.name), *map(str, given.values())])
        lines = [f"{name}: {value}" for name, value in with_readable_times(result).items()] or [
            f"{done}: done at {simulator.url}"
        ]
        print(*map(clean, lines), sep="\n")
    return 0


def _list(options: argparse.Namespace) -> int:
    status = _simulator_of(options).read_status()
    if wants_json(options.json):
        print_json(status)
        return 0
    backups = status["backups"]
    rows = [[b["id"], b["name"], b["status"], _object(b["resource_type"]), str(len(b["members"]))] for b in backups]
    print_table("Backups", ["ID", "Name", "Status", "Of", "Members"], rows)
    names = _names(status)
    _print_members([member for backup in backups for member in backup["members"]], names)
    projects = [[project, names.get(project, "")] for project in status["projects"]]
    servers = Counter((b["resource_id"], b["resource_name"]) for b in backups)
    print_table("Servers and disks", ["ID", "Name", "Backups"], [[*one, str(count)] for one, count in servers.items()])
    owned = Counter(b["vault_id"] for b in backups)
    print_table("The owner's vaults", ["ID", "Backups"], [[vault, str(count)] for vault, count in owned.items()])
    print_table("Projects to share with", ["ID", "Name"], projects)
    vaults = [[vault["id"], vault["name"], vault["object_type"], vault["status"]] for vault in status["vaults"]]
    print_table("The receiver's vaults", ["ID", "Name", "For", "Status"], vaults)
    return 0


def _faults(options: argparse.Namespace) -> int:
    simulator = _simulator_of(options)
    if options.clear:
        simulator.send("DELETE", "/faults")
    for line in options.lines:
        simulator.send("POST", "/faults", {"script": line})
    active = simulator.send("GET", "/faults")
    if wants_json(options.json):
        print_json(active)
        return 0
    rows = [[fault["kind"], fault["method"], fault["path"], _when(fault)] for fault in active["faults"]]
    print_table("Faults", ["What", "Method", "Path", "When"], rows)
    return 0


def _when(fault: Mapping[str, Any]) -> str:
    if fault["probability"] is not None:
        return f"{100 * fault['probability']:g}% from the {fault['nth']}."
    if fault["times"] == 1:
        return f"the {fault['nth']}."
    times = "all that follow" if fault["times"] is None else f"{fault['times']} times"
    return f"from the {fault['nth']}., {times}"


def _object(resource_type: str) -> str:
    return {SERVER: "server", DISK: "disk"}.get(resource_type, resource_type)


def _names(status: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that commands accept in place of IDs, by ID."""
    named = {entry["id"]: entry["name"] for kind in ("backups", "vaults") for entry in status[kind]}
    return {**named, status["receiver"]: "receiver"}


def _print_members(members: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    rows = [
        [
            names.get(member["backup_id"], member["backup_id"]),
            names.get(member["dest_project_id"], member["dest_project_id"]),
            member["status"],
            names.get(member["vault_id"], member["vault_id"] or ""),
        ]
        for member in members
    ]
    print_table("Members", ["Backup", "Project", "Status", "Vault"], rows)


def _to_flag(name: str) -> str:
    return name.replace("_", "-")


def _to_help(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".").replace("``", "")


# Values of arguments


def _number_up_to(most: int, message: str) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) > most:
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return convert


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError("must be seconds, at least 0")
    return seconds


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("must be true or false")
    return text == "true"


_COUNT = _number_up_to(10**9, "must be a number, at least 0")

#: By the name of an option, or by its type as it is written.
_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "port": _number_up_to(65535, "a port is 0 to 65535"),
    "seed": int,
    "int": _COUNT,
    "int | None": _COUNT,
    "float": _seconds,
}
