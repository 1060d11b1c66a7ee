"""Three stacks at the same time in one Python process, by the Automation API."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
from pulumi import automation as auto

import pulumi_cbr
import pulumi_cbr.native
from accounts import password_settings
from pulumi_cbr.simulator import Simulator

from .shortcuts import EmptyStack, QuickStack, configure


def test_three_stacks_in_one_process(
    engine_settings: dict[str, str],
    empty_stack: EmptyStack,
    pulumi_command: auto.PulumiCommand,
    simulator: Simulator,
    tmp_path: Path,
) -> None:
    """Each signs in with its own configuration, and knows only its own shares: both owners share the same backups."""
    one, two = (backup.id for backup in simulator.backups[:2])
    receiver, *projects = simulator.projects
    simulator.share(one, receiver)
    simulator.share(two, receiver)

    def owner(module: object, project: str) -> Callable[[], None]:
        def program() -> None:
            module.BackupShareMember("member", one, project)  # type: ignore[attr-defined]
            shared = module.BackupShare("set", two, [project])  # type: ignore[attr-defined]
            found = module.get_backup_share_members_output(shared.backup_id)  # type: ignore[attr-defined]
            pulumi.export("shared", found.apply(lambda members: project in [each.dest_project_id for each in members]))

        return program

    def accepting() -> None:
        vault = simulator.vaults[0].id
        pulumi_cbr.BackupShareAccepter("dynamic", one, vault)
        pulumi_cbr.native.BackupShareAccepter("native", two, vault)

    def stack(name: str, program: Callable[[], None], role: str) -> QuickStack:
        folder, backend = tmp_path / name, tmp_path / f"{name}-backend"
        folder.mkdir()
        env = {**engine_settings, "PULUMI_BACKEND_URL": f"file://{backend}"}
        workspace = auto.LocalWorkspace(
            work_dir=str(folder),
            pulumi_home=env["PULUMI_HOME"],
            program=program,
            env_vars=env,
            project_settings=auto.ProjectSettings(name=name, runtime="python"),
            pulumi_command=pulumi_command,
        )
        empty_stack.write(folder, "test", env)
        configure(folder, {f"cbr:{key}": value for key, value in password_settings(simulator, role).items()})
        return QuickStack("test", workspace, backend)

    stacks = [
        stack("first", owner(pulumi_cbr, projects[0]), "owner"),
        stack("second", owner(pulumi_cbr.native, projects[1]), "owner"),
        stack("third", accepting, "receiver"),
    ]

    def shares() -> dict[str, dict[str, str]]:
        return {
            backup: {project: share.status for project, share in simulator.members(backup).items()}
            for backup in (one, two)
        }

    with ThreadPoolExecutor(len(stacks)) as pool:
        results = list(pool.map(lambda each: each.up(), stacks))
        assert [result.outputs["shared"].value for result in results[:2]] == [True, True]
        everything = {receiver: "accepted", projects[0]: "pending", projects[1]: "pending"}
        assert shares() == {one: everything, two: everything}
        refreshed = list(pool.map(lambda each: each.refresh(), stacks))
        assert all(set(result.summary.resource_changes or {}) == {"same"} for result in refreshed)
        list(pool.map(lambda each: each.destroy(), stacks))
    assert shares() == {backup: {receiver: "rejected"} for backup in (one, two)}
