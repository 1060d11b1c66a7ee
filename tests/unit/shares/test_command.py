"""`python -m pulumi_cbr shares` against the simulated service: each option, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_cbr import __main__ as command
from pulumi_cbr.shares.command import PARALLEL
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in
from waiting import wait_until

#: Run the command: its exit code and what it wrote to standard output and to standard error.
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def simulator(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Four shares of two backups: one of each status, and one more pending."""
    sign_in(monkeypatch, cbr_simulator.env())
    one, two = cbr_simulator.backups[0].id, cbr_simulator.backups[7].id
    cbr_simulator.share(one, cbr_simulator.projects[0], "accepted")
    cbr_simulator.share(one, cbr_simulator.projects[1], "rejected")
    cbr_simulator.share(two, cbr_simulator.projects[0])
    cbr_simulator.share(two, cbr_simulator.projects[2])
    return cbr_simulator


@pytest.fixture
def run(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def shares(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pulumi_cbr", "shares", *arguments])
        try:
            code = command.main()
        except SystemExit as wrong:
            code = int(wrong.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return shares


def listed(told: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(told)["shares"]
    return records


def test_shares_prints_table_and_summary(simulator: Simulator, run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("BACKUP")
    assert len(lines) == 1 + 4 + 2
    assert lines[-1] == "4 shares of 2 backups, 3 other projects: 2 pending, 1 accepted, 1 rejected"
    assert sum(simulator.projects[0] in line for line in lines) == 2
    # It looked, and changed nothing.
    assert {call.method for call in simulator.calls if "auth/tokens" not in call.path} == {"GET"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--project", "{project}"), 2),
        (("--project", "{project}", "--status", "pending"), 1),
        (("--status", "pending", "--status", "rejected"), 3),
        (("--server", "{server}"), 2),
        (("--server", "{server_name}"), 2),
        (("--server", "{server}", "--server", "*"), 4),
        (("--vault", "{vault}"), 4),
        (("--vault", "{dest_vault}"), 1),
        (("--older-than", "1h"), 0),
        (("--older-than", "0m"), 4),
    ],
)
def test_shares_filters(simulator: Simulator, run: Run, arguments: Sequence[str], found: int) -> None:
    backup, project = simulator.backups[0], simulator.projects[0]
    values = {
        "project": project,
        "server": backup.resource_id,
        "server_name": backup.resource_name,
        "vault": backup.vault_id,
        "dest_vault": simulator.members(backup.id)[project].vault_id,
    }
    simulator.advance(60)
    _, out, _ = run("--json", *(argument.format(**values) for argument in arguments))
    assert len(listed(out)) == found


def test_shares_filters_by_the_time_of_the_service(
    simulator: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's clock is behind, and the project's ID takes no request that would tell the service's."""
    monkeypatch.setenv("OS_PROJECT_ID", simulator.owner.project_id)
    simulator.advance(2.5 * 3600)
    assert len(listed(run("--json", "--older-than", "2h")[1])) == 4


def test_shares_sorts(run: Run) -> None:
    statuses = [record["status"] for record in listed(run("--json", "--sort", "status:desc")[1])]
    assert statuses == sorted(statuses, reverse=True)


def test_shares_received_lists_for_the_receiver(
    simulator: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, simulator.env("receiver"))
    code, out, _ = run("--received", "--json")
    assert code == 0
    assert {(record["backup_id"], record["status"]) for record in listed(out)} == {
        (simulator.backups[0].id, "accepted"),
        (simulator.backups[7].id, "pending"),
    }
    assert "1 share of 1 backup, 1 other project: 1 pending" in run("--received", "--status", "pending")[1]
    ages = [record["shared_at"] for record in listed(out)]
    assert all(ages)
    table = run("--received", "--columns", "backup,share_id,age")[1]
    share = simulator.members(simulator.backups[0].id)[simulator.receiver.project_id]
    assert share.id in table
    # Half an hour more: shares' times and responses' dates have different fractions of a second.
    simulator.advance(2.5 * 3600)
    assert " 2 h\n" in run("--received", "--columns", "backup,age")[1]


@pytest.mark.parametrize("order", ["age", "age:desc"])
def test_shares_received_sorts_by_age(
    simulator: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Lists do not tell since when a backup is shared."""
    sign_in(monkeypatch, simulator.env("receiver"))
    simulator.advance(3600)
    simulator.share(simulator.backups[3].id, simulator.receiver.project_id)
    lines = run("--received", "--columns", "backup", "--sort", order)[1].splitlines()
    assert (lines.index("backup-003") == 1) is (order == "age")


@pytest.mark.parametrize("option", ["--csv", "--columns=backup_id,status"])
def test_shares_prints_for_programs(run: Run, option: str) -> None:
    assert len(run(option)[1].splitlines()) == (5 if option == "--csv" else 7)


@pytest.fixture
def clouds(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries: dict[str, Any] = {}
    for name, role in (("a", "owner"), ("same", "owner"), ("b", "receiver")):
        env = simulator.env(role)
        keys = ("auth_url", "username", "password", "user_domain_name", "project_id")
        entries[name] = {"auth": {key: env[f"OS_{key.upper()}"] for key in keys}, "region_name": env["OS_REGION_NAME"]}
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": entries}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    for name in simulator.env():
        monkeypatch.delenv(name)


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.usefixtures("clouds")
def test_shares_of_several_clouds_in_one_view(simulator: Simulator, run: Run) -> None:
    code, out, err = run("--cloud", "a", "--cloud", "b", "--cloud", "a", "--json")
    assert (code, err) == (0, "")
    assert [record["cloud"] for record in listed(out)] == ["a"] * 4
    # Two names of one project show its shares once.
    assert len(listed(run("--cloud", "a", "--cloud", "same", "--json")[1])) == 4


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.usefixtures("clouds")
def test_shares_names_the_cloud_that_fails(simulator: Simulator, run: Run) -> None:
    simulator.deny("cbr:backups:list", role="receiver")
    code, out, err = run("--cloud", "a", "--cloud", "b")
    assert (code, out) == (1, "")
    assert err.startswith("cbr: cloud 'b': listing the backups failed") or "cloud 'b': listing the backups" in err
    assert "cloud 'b'" not in run("--cloud", "b")[2]


@pytest.mark.parametrize("action", ["cbr:backups:list", "cbr:member:list"])
def test_shares_without_permission_names_the_action(simulator: Simulator, run: Run, action: str) -> None:
    simulator.deny(action)
    code, out, err = run()
    assert (code, out) == (1, "")
    assert action in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "0 shares: no backup of this project is shared\n"),
        (("--received",), "0 shares: nothing is shared with this project\n"),
        (("--server", "db-*"), "0 shares: none matches the filters\n"),
        (("--older-than", "1d"), "0 shares: none matches the filters\n"),
    ],
)
def test_shares_of_an_empty_project_says_so(
    cbr_simulator: Simulator, run: Run, arguments: Sequence[str], said: str
) -> None:
    for backup_id in (cbr_simulator.backups[0].id, cbr_simulator.backups[7].id):
        for project in list(cbr_simulator.members(backup_id)):
            cbr_simulator.withdraw(backup_id, project)
    assert run(*arguments) == (0, said, "")


@pytest.mark.parametrize(("width", "hidden"), [(60, True), (90, True), (400, False)])
def test_shares_tells_what_a_terminal_has_no_room_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int, hidden: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "")
    *_, last = run()[1].splitlines()
    assert last.startswith(f"Not shown in {width} columns: dest_vault, vault, server") is hidden
    # Columns that the user names are always shown.
    assert "Not shown" not in run("--columns", "backup,server,vault,project_id,backup_id")[1]


@pytest.mark.usefixtures("default_signals")
def test_shares_ends_at_once_if_interrupted(tmp_path: Path) -> None:
    """Nobody waits for the calls that are in flight, nor for those that have not begun."""
    with Simulator(backups=60) as simulator, (tmp_path / "out").open("w+") as out:
        simulator.faults.add(Fault("timeout_before", "GET", "/members$", times=None))
        command = [sys.executable, "-m", "pulumi_cbr", "shares"]
        environment = {**os.environ, **simulator.env()}
        with subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT) as process:
            wait_until(lambda: simulator.count("GET", "/members$"))
            process.send_signal(signal.SIGINT)
        out.seek(0)
        assert out.read() == "cbr: interrupted. Nothing was changed\n"
        assert process.returncode == -signal.SIGINT
        assert simulator.count("GET", "/members$") <= PARALLEL


@pytest.fixture
def default_signals() -> Iterator[None]:
    """A program takes over that Ctrl-C is ignored, as it is for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the engine's command line. It prints `state.json` of its folder."""
    folder = tmp_path / "engine"
    folder.mkdir()
    script = f"""#!/bin/sh
echo "$@" >>{folder}/asked
pwd >>{folder}/asked
[ -f {folder}/state.json ] || {{ echo "error: no such stack" >&2; exit 1; }}
cat {folder}/state.json
"""
    (folder / "pulumi").write_text(script)
    (folder / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def state(*pairs: tuple[str, str], project: str) -> str:
    resources = [
        {
            "type": "cbr:index:BackupShareMember",
            "urn": f"urn:pulumi:prod::p::cbr:index:BackupShareMember::r{number}",
            "id": "/".join(pair),
            "outputs": {"sourceProjectId": project},
        }
        for number, pair in enumerate(pairs)
    ]
    return json.dumps({"deployment": {"resources": resources}})


def test_shares_marks_what_a_stack_knows(simulator: Simulator, run: Run, engine: Path, tmp_path: Path) -> None:
    one, two = simulator.backups[0].id, simulator.backups[7].id
    own = simulator.owner.project_id
    (engine / "state.json").write_text(state((one, simulator.projects[0]), (two, simulator.projects[5]), project=own))
    code, out, _ = run("--stack", "acme/p/prod", "--cwd", str(tmp_path), "--json", "--sort", "known")
    assert code == 0
    assert [record["known"] for record in listed(out)] == ["gone", "managed", "unmanaged", "unmanaged", "unmanaged"]
    asked = (engine / "asked").read_text().splitlines()
    assert asked == ["stack export --stack acme/p/prod --non-interactive", str(tmp_path)]
    table = run("--stack", "prod", "--stack", "test")[1]
    assert "prod/r0, test/r0" in table
    assert "; 3 unmanaged, 2 managed more than once" in table
    assert len(listed(run("--stack", "prod", "--status", "gone", "--json")[1])) == 1


def test_shares_fails_on_unmanaged_with_code_3(simulator: Simulator, run: Run, engine: Path) -> None:
    one = simulator.backups[0].id
    (engine / "state.json").write_text(state((one, simulator.projects[0]), project=simulator.owner.project_id))
    code, out, _ = run("--stack", "prod", "--fail-on-unmanaged")
    assert code == 3
    assert "unmanaged" in out
    assert run("--stack", "prod", "--fail-on-unmanaged", "--status", "accepted")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--fail-on-unmanaged",), 2, "cbr: --fail-on-unmanaged compares with stacks. Name them with --stack\n"),
        (("--status", "gone"), 2, "cbr: --status gone compares with stacks. Name them with --stack\n"),
        (("--stack", "prod", "--cwd", "/nowhere"), 1, "cbr: reading stack prod failed: there is no folder /nowhere"),
        (("--stack", "prod"), 1, "cbr: reading stack prod failed: no such stack. `pulumi stack ls --all` lists"),
        (("--sort", "size"), 2, "argument --sort: not a sort key: 'size'"),
        (("--columns", "status,size"), 2, "argument --columns: not a column: 'size'"),
        (("--older-than", "long"), 2, "argument --older-than: not an age: 'long'"),
        (("--json", "--csv"), 2, "not allowed with argument"),
        (("--html", "/nowhere/page.html"), 1, "cbr: writing /nowhere/page.html failed: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_shares_fails_with_one_line(run: Run, arguments: Sequence[str], code: int, message: str) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert message in err.splitlines(keepends=True)[-1]


def test_shares_without_pulumi_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said = (
        "cbr: reading stack prod failed: `pulumi` is not on PATH. Install the Pulumi CLI, or add its folder to PATH\n"
    )
    assert run("--stack", "prod") == (1, "", said)


@pytest.mark.parametrize("printed", [b"[]", b"not JSON", b'{"deployment": 1}', "{}".encode("utf-16")])
def test_shares_refuses_what_is_no_state(run: Run, engine: Path, printed: bytes) -> None:
    (engine / "state.json").write_bytes(printed)
    code, _, err = run("--stack", "prod")
    assert code == 1
    (line,) = err.splitlines()
    assert "the export is not a stack's state" in line


def test_shares_adopts_what_is_unmanaged(simulator: Simulator, run: Run, engine: Path) -> None:
    one = simulator.backups[0].id
    (engine / "state.json").write_text(state((one, simulator.projects[0]), project=simulator.owner.project_id))
    code, out, err = run("--stack", "prod", "--adopt", "import")
    assert code == 0
    assert len(json.loads(out)["resources"]) == 3
    assert err.startswith("3 shares to adopt; left out: 1 managed\nNext: save this as FILE, run `pulumi import")
    _, out, err = run("--stack", "prod", "--adopt", "python", "--adopt-as", "sets", "--flavor", "native")
    assert err.startswith("3 shares to adopt; left out: 1 managed\nNext: add this to the stack's program")
    assert "import pulumi_cbr.native as cbr" in out
    assert out.count("BackupShare(") == 1
    # Without a stack, nobody knows which are managed already.
    assert run("--adopt", "import")[2].splitlines()[:2] == [
        "4 shares to adopt",
        "No --stack was compared: shares that a stack manages already are included",
    ]


def test_shares_writes_a_page(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    code, out, _ = run("--html", str(file))
    assert code == 0
    assert out.startswith("4 shares of 2 backups")
    assert file.read_text().count('<button type="button" class="dot') == 4


def test_shares_ends_quietly_if_nobody_reads(simulator: Simulator) -> None:
    environment: Mapping[str, str] = {**os.environ, **simulator.env()}
    program = f"{sys.executable} -m pulumi_cbr shares --json | head -c 1"
    told = subprocess.run(program, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("{", "")


def test_shares_shows_names_next_to_ids(simulator: Simulator, run: Run) -> None:
    record = listed(run("--json", "--vault", "nightly", "--status", "accepted")[1])[0]
    assert (record["vault_name"], record["source_project_name"]) == ("nightly", simulator.owner.project_name)
    assert record["dest_vault_name"] is None
    assert " nightly " in run()[1]


def test_shares_without_permission_for_names_shows_ids(simulator: Simulator, run: Run) -> None:
    simulator.deny("cbr:vaults:list")
    code, out, err = run()
    assert (code, err) == (0, "")
    assert simulator.backups[0].vault_id in out


def test_shares_received_names_the_own_vaults(simulator: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, simulator.env("receiver"))
    assert [record["dest_vault_name"] for record in listed(run("--received", "--vault", "serv*", "--json")[1])] == [
        "servers"
    ]
