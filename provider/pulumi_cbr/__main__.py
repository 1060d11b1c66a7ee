"""The command line ``python -m pulumi_cbr``: its commands, and how they end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from pulumi_cbr import doctor, messages
from pulumi_cbr.api import CbrError
from pulumi_cbr.shares import command as shares
from pulumi_cbr.stdout import forget_stdout


def main() -> int:
    """Run the command; return 0 if it succeeds."""
    parser = argparse.ArgumentParser(prog="python -m pulumi_cbr", description="Tools beside the Pulumi resources.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "doctor", help=doctor.SUMMARY, description=f"{doctor.SUMMARY[0].upper()}{doctor.SUMMARY[1:]}. Changes nothing."
    )
    command.add_argument("--cloud", help="an entry of clouds.yaml, as a resource's `cloud`")
    command.add_argument("--stack", help="read the configuration of this stack (default: the one that is selected)")
    command.add_argument("--json", action="store_true", help="for scripts")
    listing = commands.add_parser(
        "shares", help=shares.SUMMARY, description=f"{shares.SUMMARY[0].upper()}{shares.SUMMARY[1:]}. Changes nothing."
    )
    shares.add_arguments(listing)
    given = parser.parse_args()
    run: dict[str, Callable[[argparse.Namespace], int]] = {"doctor": _run_doctor, "shares": shares.run}
    try:
        code = run[given.command](given)
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
        return 1
    except CbrError as error:
        print(f"cbr: {error}", file=sys.stderr)
        return 2 if isinstance(error, shares.WrongArgumentsError) else 1
    except KeyboardInterrupt:
        _end_by_interrupt()
    return code


def _end_by_interrupt() -> NoReturn:
    """End the process as the signal would, even if calls are in flight.

    A shell's loop ends too then.
    """
    print(f"cbr: {messages.interrupted()}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit(130)


def _run_doctor(given: argparse.Namespace) -> int:
    return doctor.run(cloud=given.cloud, stack=given.stack, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
