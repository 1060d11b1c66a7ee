"""The program ``python -m pulumi_cbr.simulator``; see `pulumi_cbr.simulator.cli`."""

import sys

from pulumi_cbr.simulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
