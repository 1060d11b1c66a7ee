"""Shares for tests that need no service."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from pulumi_cbr.shares.model import Manager, Share

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
BACKUP = "0ddb0e92-50b2-49d4-bd57-35b378502536"
OTHER_BACKUP = "1ddb0e92-50b2-49d4-bd57-35b378502536"
PROJECT = "e991c88fb754e3862d3e981533f29aec"
OTHER_PROJECT = "f991c88fb754e3862d3e981533f29aec"
OWN = "337ae8a5ed8ab6b12524f8456c9ee305"
MANAGER = Manager("prod", "urn:pulumi:prod::backups::cbr:index:BackupShareMember::dr")


def make_share(**changes: Any) -> Share:
    """Return a share, with the fields that a test is about."""
    fields: dict[str, Any] = {
        "backup_id": BACKUP,
        "dest_project_id": PROJECT,
        "status": "accepted",
        "source_project_id": OWN,
        "backup_name": "nightly",
        "backup_created_at": NOW - timedelta(days=10),
        "server_id": "5ddb0e92-50b2-49d4-bd57-35b378502536",
        "server_name": "Web-1",
        "vault_id": "6ddb0e92-50b2-49d4-bd57-35b378502536",
        "share_id": "7ddb0e92-50b2-49d4-bd57-35b378502536",
        "shared_at": NOW - timedelta(days=3),
    }
    return Share(**{**fields, **changes})
