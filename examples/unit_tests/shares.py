"""Who gets the nightly backup: a component, so that it can be tested without a cloud and without the engine."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

import pulumi_cbr as cbr


class NightlyShares(pulumi.ComponentResource):
    """Shares one backup with a project for each site. Production never loses its share by accident."""

    def __init__(
        self, name: str, backup_id: pulumi.Input[str], sites: dict[str, str], production: Sequence[str]
    ) -> None:
        super().__init__("example:index:NightlyShares", name)
        self.shares = {
            site: cbr.BackupShareMember(
                f"{name}-{site}",
                backup_id,
                project_id,
                reshare_if_rejected=True,
                opts=pulumi.ResourceOptions(parent=self, protect=site in production),
            )
            for site, project_id in sites.items()
        }
        self.waiting = pulumi.Output.all(**{site: share.status for site, share in self.shares.items()}).apply(
            lambda statuses: sorted(site for site, status in statuses.items() if status == "pending")
        )
        self.register_outputs({"waiting": self.waiting})
