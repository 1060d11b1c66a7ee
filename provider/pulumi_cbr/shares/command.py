"""The command line ``python -m pulumi_cbr shares``: read the arguments, ask, and print."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pulumi_cbr import messages
from pulumi_cbr.api import CbrClient, CbrError, load
from pulumi_cbr.shares import adopt, formats, known, names
from pulumi_cbr.shares.collect import Listing, Source, list_own, list_received
from pulumi_cbr.shares.model import STATUSES, Share
from pulumi_cbr.shares.page import page
from pulumi_cbr.shares.progress import Bar
from pulumi_cbr.shares.select import DEFAULT_SORT, SORT_KEYS, Filters, duration, sort, sort_order

SUMMARY = "list who can see the project's backups, or what is shared with it"


class WrongArgumentsError(CbrError):
    """Two arguments do not go together: exit code 2, as for every wrong argument."""


#: Exit code if `--fail-on-unmanaged` finds a share that no stack has.
UNMANAGED = 3

#: Calls at a time, of all clouds together.
PARALLEL = 32

#: Columns that a list of received shares lacks. They cost one GET for each share.
_VAULT_COLUMNS = ("dest_vault", "dest_vault_id", "image_id")
_TIME_COLUMNS = ("age", "share_id", "shared_at", "updated_at")

_EPILOG = f"""\
Exit codes: 0 done, 1 failed, 2 wrong arguments, {UNMANAGED} --fail-on-unmanaged found a share that no stack has.
Texts of filters are IDs or names, with * and ? as in file names. Each filter may be given several times.
"""

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    _add_filters(parser)
    _add_formats(parser)
    _add_stacks(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what is listed")
    what.add_argument("--received", action="store_true", help="what is shared with the project, not what it shares")
    what.add_argument(
        "--cloud",
        action="append",
        default=[],
        help="an entry of clouds.yaml; repeat the option to list several projects together",
    )
    what.add_argument(
        "--project", action="append", default=[], help="shared with this project; with --received, shared by it"
    )
    what.add_argument("--status", action="append", default=[], choices=STATUSES, help="in this status")
    what.add_argument("--server", action="append", default=[], help="backups of this server or disk")
    what.add_argument(
        "--vault", action="append", default=[], help="backups in this vault, the owner's or the receiver's"
    )
    what.add_argument(
        "--older-than",
        type=_argument(duration),
        metavar="AGE",
        help="shared for at least so long, such as 12h, 30d, 8w",
    )
    what.add_argument(
        "--sort",
        type=_argument(sort_order),
        metavar="KEY[:desc],...",
        help=f"the order, by {', '.join(SORT_KEYS)} (default: {DEFAULT_SORT})",
    )


def _add_formats(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how it is shown").add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="every field, for programs")
    how.add_argument("--csv", action="store_true", help="every field, for spreadsheets")
    how.add_argument(
        "--columns",
        type=_argument(_columns),
        metavar="NAME,...",
        help=f"columns of the table: {', '.join(formats.COLUMNS)}",
    )
    how.add_argument("--html", metavar="FILE", help="write an HTML page with a map, a search field and the table")
    how.add_argument(
        "--adopt",
        choices=("import", "python"),
        help="print what adopts the unmanaged shares: a file for `pulumi import --file`, or a program",
    )


def _add_stacks(parser: argparse.ArgumentParser) -> None:
    stacks = parser.add_argument_group("what Pulumi knows")
    stacks.add_argument(
        "--stack", action="append", default=[], help="mark what this stack manages, read by `pulumi stack export`"
    )
    stacks.add_argument("--cwd", metavar="FOLDER", help="the folder of the stacks' Pulumi project (default: this one)")
    stacks.add_argument(
        "--fail-on-unmanaged", action="store_true", help=f"exit with {UNMANAGED} if no --stack has one of the shares"
    )
    stacks.add_argument(
        "--adopt-as",
        choices=("members", "sets"),
        default="members",
        help="one resource for each share (members), or for each backup (sets)",
    )
    stacks.add_argument(
        "--flavor",
        choices=("dynamic", "native"),
        default="dynamic",
        help="flavor of the resources in the program of --adopt python",
    )


def run(given: argparse.Namespace) -> int:
    """List what the arguments ask for, print it, and return the exit code. Raises `CbrError`."""
    if not given.stack:
        _refuse_without_stack(given)
    filters = Filters(
        projects=tuple(given.project),
        statuses=tuple(given.status),
        servers=tuple(given.server),
        vaults=tuple(given.vault),
        older_than=given.older_than,
    )
    managed = [share for stack in given.stack for share in known.read_stack(stack, folder=given.cwd)]
    sources = _sources(given.cloud)
    listings, known_names = _listings(given, filters, sources)
    marked = known.mark(listings, managed) if given.stack else [share for each in listings for share in each.shares]
    # The times of shares are the service's, and this machine's clock may differ.
    now = sources[0].client.service_now()
    everything = [known_names.add_to(share) for share in marked]
    shares = sort((share for share in everything if filters.match(share, now)), given.sort or sort_order(DEFAULT_SORT))
    _print(given, shares, everything, now)
    if given.fail_on_unmanaged and any(share.known == "unmanaged" for share in shares):
        return UNMANAGED
    return 0


def _sources(clouds: Sequence[str]) -> list[Source]:
    wanted: Sequence[str | None] = clouds or (None,)
    return [Source(cloud, CbrClient(load(cloud=cloud))) for cloud in dict.fromkeys(wanted)]


def _refuse_without_stack(given: argparse.Namespace) -> None:
    if given.fail_on_unmanaged:
        raise WrongArgumentsError(messages.option_needs_stack("--fail-on-unmanaged"))
    if "gone" in given.status:
        raise WrongArgumentsError(messages.option_needs_stack("--status gone"))


def _find_details(given: argparse.Namespace) -> set[str]:
    """Return the details of received shares that the output needs.

    A detail costs one GET for each share whose list lacks it.
    """
    if given.json or given.csv or given.html:
        return {"vault", "time"}
    columns = set(given.columns or ())
    is_sorted_by_age = given.sort is not None and any(key == "age" for key, _ in given.sort)
    needed = {
        "vault": given.vault or given.adopt == "python" or not columns.isdisjoint(_VAULT_COLUMNS),
        "time": given.older_than is not None or is_sorted_by_age or not columns.isdisjoint(_TIME_COLUMNS),
    }
    return {name for name, is_needed in needed.items() if is_needed}


def _listings(
    given: argparse.Namespace, filters: Filters, sources: Sequence[Source]
) -> tuple[list[Listing], names.Names]:
    whole = bool(given.stack)
    details = _find_details(given)
    calls, projects = ThreadPoolExecutor(PARALLEL), ThreadPoolExecutor(len(sources))

    def list_source(source: Source) -> tuple[Listing, names.Names]:
        try:
            if given.received:
                listing = list_received(source, filters, calls, bar.part(), whole=whole, details=details)
            else:
                listing = list_own(source, filters, calls, bar.part(), whole=whole)
            return listing, names.look_up(source.client, calls)
        except CbrError as error:
            if len(sources) == 1:
                raise
            raise CbrError(messages.cloud_failed(str(source.cloud), str(error))) from error

    is_patient = True
    try:
        with Bar() as bar:
            futures = [projects.submit(list_source, source) for source in sources]
            results = _results(futures)
    except KeyboardInterrupt:
        is_patient = False
        raise
    finally:
        # After an error, wait for the calls in flight and start no other. After Ctrl-C, do not wait.
        for pool in (calls, projects):
            pool.shutdown(wait=is_patient, cancel_futures=True)
    # Two entries of clouds.yaml may sign in to one project.
    listings = {listing.project_id: listing for listing, _ in reversed(results)}
    return list(listings.values())[::-1], names.merge(found for _, found in results)


def _results(futures: Sequence[Future[T]]) -> list[T]:
    """Return all results, or raise the first error there is."""
    waiting = True
    while waiting:
        # Without a timeout, Python may miss a Ctrl-C at the beginning of the wait.
        done, not_done = wait(futures, timeout=0.5, return_when=FIRST_EXCEPTION)
        waiting = bool(not_done) and not any(future.exception() for future in done)
    return [future.result() for future in futures if future in done]


def _print(given: argparse.Namespace, shares: list[Share], everything: list[Share], now: datetime) -> None:
    if given.adopt:
        _print_adoption(given, shares, everything)
    elif given.html:
        _write(Path(given.html), page(shares, now))
        print(_summary(given, shares))
    elif given.json:
        print(formats.to_json(shares), end="")
    elif given.csv:
        print(formats.to_csv(shares), end="")
    else:
        _print_table(given, shares, now)


def _print_table(given: argparse.Namespace, shares: list[Share], now: datetime) -> None:
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    color = terminal and "NO_COLOR" not in os.environ
    hidden: tuple[str, ...] = ()
    if shares:
        columns = given.columns
        if columns is None:
            columns, hidden = formats.fitting_columns(shares, now, width)
        print(formats.table(shares, now, columns=columns, width=width, color=color))
    print(_summary(given, shares))
    if width is not None and hidden:
        print(messages.hidden_columns(hidden, width))


def _summary(given: argparse.Namespace, shares: list[Share]) -> str:
    filtered = any((given.project, given.status, given.server, given.vault, given.older_than))
    return formats.summary(shares) if shares else messages.no_shares(given.received, filtered)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CbrError(messages.file_unwritable(str(file), error.strerror or str(error))) from error


def _print_adoption(given: argparse.Namespace, shares: list[Share], everything: list[Share]) -> None:
    found = adopt.adoptable(shares, needs_vault=given.adopt == "python")
    as_sets = given.adopt_as == "sets"
    if given.adopt == "import":
        print(adopt.import_file(found.shares, everything, as_sets=as_sets), end="")
    else:
        print(adopt.program(found.shares, flavor=given.flavor, as_sets=as_sets), end="")
    print(messages.adoption_summary(len(found.shares), found.left_out), file=sys.stderr)
    if found.shares:
        if not given.stack:
            print(messages.adopts_without_stack(), file=sys.stderr)
        next_step = messages.next_step_of_import if given.adopt == "import" else messages.next_step_of_program
        print(next_step(), file=sys.stderr)


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in formats.COLUMNS:
            raise ValueError(messages.wrong_column(name, formats.COLUMNS))
    return names


def _argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap a parser, so that argparse shows the text of its ValueError."""

    def argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument
