"""`pulumi_cbr.native` by a name that other languages' tools can write: `pulumi import` prints ``import pulumi_cbr_native``."""

from typing import TYPE_CHECKING

from pulumi_cbr.native import __all__ as __all__

if TYPE_CHECKING:
    from pulumi_cbr.native import *  # noqa: F403
else:
    # Each name is imported on use.
    from pulumi_cbr.native import __getattr__ as __getattr__
