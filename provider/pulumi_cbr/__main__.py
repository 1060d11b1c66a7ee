"""``python -m pulumi_cbr doctor``: what stands between this machine and a working share."""

from __future__ import annotations

import argparse
import sys

from pulumi_cbr import doctor
from pulumi_cbr.stdout import forget_stdout


def main() -> int:
    """Run the command; 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m pulumi_cbr", description="Tools beside the Pulumi resources.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "doctor", help=doctor.SUMMARY, description=f"{doctor.SUMMARY[0].upper()}{doctor.SUMMARY[1:]}. Changes nothing."
    )
    command.add_argument("--cloud", help="an entry of clouds.yaml, as a resource's `cloud`")
    command.add_argument("--stack", help="read the configuration of this stack (default: the one that is selected)")
    command.add_argument("--json", action="store_true", help="for scripts")
    given = parser.parse_args()
    try:
        code = doctor.run(cloud=given.cloud, stack=given.stack, as_json=given.json)
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
