"""Share one backup with the project of each site, and export which sites have not accepted yet."""

import pulumi
from shares import NightlyShares

config = pulumi.Config()
nightly = NightlyShares(
    "nightly",
    config.require("backup_id"),
    sites=config.require_object("sites"),
    production=config.get_object("production") or [],
)

pulumi.export("waiting", nightly.waiting)
