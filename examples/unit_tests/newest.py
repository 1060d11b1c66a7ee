"""Share the newest backup of a server, in the first-class flavor: its tests mock the look-up too."""

from __future__ import annotations

import pulumi_cbr.native as cbr


def share_newest(server_id: str, project_id: str) -> cbr.BackupShareMember | None:
    """Share the server's newest backup. A server without a backup is no error."""
    newest = next(cbr.get_backups(resource_id=server_id, status="available", newest_first=True, limit=1), None)
    return cbr.BackupShareMember("newest", newest.id, project_id) if newest else None
