"""The program that is measured: it declares the shares of plan.json, as the kind of resource that is told there."""

from __future__ import annotations

import json
import time
from pathlib import Path

first = time.monotonic()
plan = json.loads(Path(__file__).with_name("plan.json").read_text())
kind, shares = plan["kind"], plan["shares"]

# Each kind imports what its program would, and nothing else.
if kind == "members":
    import pulumi_cbr as cbr

    for backup, projects in shares:
        for project in projects:
            cbr.BackupShareMember(f"{backup}-{project}", backup, project)
elif kind == "sets":
    import pulumi_cbr as cbr

    for backup, projects in shares:
        cbr.BackupShare(backup, backup, projects)
elif kind == "native members":
    import pulumi_cbr.native as native

    for backup, projects in shares:
        for project in projects:
            native.BackupShareMember(f"{backup}-{project}", backup, project)
elif kind == "native sets":
    import pulumi_cbr.native as native

    for backup, projects in shares:
        native.BackupShare(backup, backup, projects)
elif kind == "native waiting":
    import pulumi

    for backup, projects in shares:
        for project in projects:
            properties = {"backupId": backup, "destProjectId": project}
            pulumi.CustomResource("bench:index:Waiting", f"{backup}-{project}", properties)
else:
    from bench.floor import Alike, Loaded, Nothing, Waiting

    floor = {"nothing": Nothing, "waiting": Waiting, "loaded": Loaded, "alike": Alike}[kind]
    for backup, projects in shares:
        for project in projects:
            floor(f"{backup}-{project}", backup, project)

Path(__file__).with_name("stamps.json").write_text(json.dumps([first, time.monotonic()]))
