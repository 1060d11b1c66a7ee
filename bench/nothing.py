"""A first-class provider that does nothing, on the SDK's own server: the floor of the plugin's start.

python -m bench.nothing ENGINE
"""

from __future__ import annotations

import sys

from pulumi.provider import Provider
from pulumi.provider.server import main

if __name__ == "__main__":
    main(Provider("0.0.0"), sys.argv[1:])
