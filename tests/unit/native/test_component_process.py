"""The processes of components: their answers, crashes and ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest
from pulumi.runtime.proto import provider_pb2

import event_loops
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.failures import save_bug_report
from pulumi_cbr.native.component_process import ComponentProcesses
from waiting import wait_until

REQUEST = provider_pb2.ConstructRequest(type="cbr:index:NewestBackupShares", name="nightly")
NOT_FINISHED = "NewestBackupShares 'nightly' failed: the operation ended before it was complete"

#: Makes a file in the folder that it is given, and lives until its standard input ends.
WAITING = "import os, sys; open(os.path.join(sys.argv[1], str(os.getpid())), 'w').close(); sys.stdin.buffer.read()"


def processes(script: str) -> ComponentProcesses:
    """Return processes that run a script."""
    return ComponentProcesses((sys.executable, "-I", "-S", "-c", script))


def construct(script: str) -> provider_pb2.ConstructResponse:
    return event_loops.run(processes(script).construct(REQUEST, ""))


def test_answer_is_the_response() -> None:
    assert construct("import sys; sys.stdin.buffer.readline(); sys.stdout.write('+')").urn == ""


def test_failure_is_one_clean_line() -> None:
    with pytest.raises(CbrError) as failed:
        construct(r"import sys; sys.stdout.buffer.write(b'-one\x1b[31m\ntwo\xff')")
    text = str(failed.value)
    assert text.startswith("one")
    assert text.isprintable()


@pytest.mark.parametrize(
    "script",
    ["", "import sys; sys.stdout.write('.'); raise ValueError('the engine has ended')", "import os; os._exit(3)"],
)
def test_process_without_an_answer_has_not_finished(script: str) -> None:
    with pytest.raises(CbrError, match=NOT_FINISHED):
        construct(script)


def test_crash_is_a_bug_whose_traceback_is_in_a_file(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError) as crashed:
        construct("raise ValueError('of the child')")
    shown = save_bug_report(crashed.value)
    assert "Traceback" not in shown + caplog.text
    assert "of the child" not in shown
    (file,) = tmp_path.iterdir()
    assert "ValueError: of the child" in file.read_text()


def test_end_fails_what_runs_and_what_waits(tmp_path: Path) -> None:
    """Four run at once: two more wait, and never start."""

    async def run() -> list[object]:
        all_ = processes(WAITING)
        tasks = [asyncio.create_task(all_.construct(REQUEST, str(tmp_path))) for _ in range(6)]
        await asyncio.to_thread(wait_until, lambda: len([*tmp_path.iterdir()]) == 4)
        all_.end()
        return [*await asyncio.gather(*tasks, return_exceptions=True), *await late(all_)]

    async def late(all_: ComponentProcesses) -> list[object]:
        return [*await asyncio.gather(all_.construct(REQUEST, str(tmp_path)), return_exceptions=True)]

    failed = event_loops.run(run())
    assert [isinstance(error, CbrError) and NOT_FINISHED in str(error) for error in failed] == [True] * 7
    assert len([*tmp_path.iterdir()]) == 4
