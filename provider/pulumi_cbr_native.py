"""`pulumi_cbr.native` by a name that other languages' tools can write: `pulumi import` prints ``import pulumi_cbr_native``."""

from pulumi_cbr.native import *  # noqa: F403
from pulumi_cbr.native import __all__ as __all__
