"""Texts for users: one function for each message, with plain values in and one line out.

The form is ``<operation> failed: <cause> (<code>, HTTP <status>, request <id>). <One imperative sentence>.`` This module
imports nothing of the package, so that every other module may use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Settings and signing in

# Requests and responses


def not_sent_in_time(operation: str) -> str:
    """Return the error of a call that had no time left before it was sent."""
    return f"{operation} failed: timed out before it was sent. Raise cbr:timeout or customTimeouts, then run again"


def no_response_in_time(operation: str) -> str:
    """Return the error of a call whose response did not come in time."""
    return f"{operation} failed: no response in time. Check the network, then run again"


def retry(reason: str, wait: float) -> str:
    """Return the log line of a wait before a retry."""
    return f"{reason}. Trying again in {wait:.1f} s"


def outage(reason: str, wait: float) -> str:
    """Return the warning at the start of an outage."""
    return f"{retry(reason, wait)}. Further waits are not shown"


# Inputs

# Shares

# Acceptances and takeovers

# Commands

NO_PULUMI = "`pulumi` is not on PATH"


def wrong_age(text: str) -> str:
    """An age that cannot be read."""
    return f"not an age: {text!r}. Write a number and a unit, such as 90m, 12h, 30d or 8w"


def wrong_sort(key: str, keys: Iterable[str]) -> str:
    """A key that shares cannot be sorted by."""
    return f"not a sort key: {key!r}. Use {', '.join(keys)}, each with :asc or :desc"


def wrong_column(name: str, names: Iterable[str]) -> str:
    """A column that there is not."""
    return f"not a column: {name!r}. Use {', '.join(names)}"


def fail_on_unmanaged_needs_stack() -> str:
    """`--fail-on-unmanaged` without a stack to compare with."""
    return "--fail-on-unmanaged compares with stacks. Name them with --stack"


def stack_unreadable(stack: str, reason: str) -> str:
    """The state of a stack that cannot be read."""
    return f"reading stack {stack} failed: {reason}. Check its name and the backend (`pulumi stack ls --all`)"


def members_are_secret(urn: str) -> str:
    """A set whose members the state has as a secret."""
    return f"reading {urn} failed: its members are a secret. Leave its stack out"


def import_of_several_clouds() -> str:
    """An import file for shares of more than one cloud."""
    return "--adopt import writes one file for one cloud: an import has no `cloud`. Give one --cloud at a time"


def file_unwritable(file: str, reason: str) -> str:
    """A file that cannot be written."""
    return f"writing {file} failed: {reason}. Choose another file"


def adoption_summary(count: int, left_out: Mapping[str, int]) -> str:
    """How many shares an import file or a program has, and how many not, by reason."""
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
    return f"{count} {'share' if count == 1 else 'shares'} to adopt" + (f"; left out: {reasons}" if reasons else "")


# Look-ups


def vault_needs_id_or_name() -> str:
    """A vault that is looked up by nothing, or by two things."""
    return "get_vault takes vault_id or name, one of both"


def no_single_vault(name: str, ids: Sequence[str]) -> str:
    """A vault's name that none has, or several have."""
    if not ids:
        return f"no vault of this project has the name {name!r:.80}. Check the name and the project"
    return f"{len(ids)} vaults have the name {name!r:.80}: {', '.join(ids[:5])}. Look one up by its ID"


# Components


def window_needs_backups() -> str:
    """A window of no server and no vault."""
    return "NewestBackupShares needs servers (a list of IDs), or vault_id, or both"


def window_needs_limit() -> str:
    """A window without an end."""
    return "NewestBackupShares needs count or max_age, or both"


def wrong_window_count(count: object) -> str:
    """A count that is none."""
    return f"NewestBackupShares: count must be a whole number from 1 on, not {count!r:.40}"


def wrong_max_age(max_age: object) -> str:
    """An age that cannot be read."""
    return f"NewestBackupShares: max_age must be seconds, or a text such as 14d or 36h, not {max_age!r:.40}"


def window_accepts_for_one_project() -> str:
    """A vault that would have to accept for several projects."""
    return "NewestBackupShares: accept_into is one project's vault, so dest_project_ids must have exactly one"


def window_without_backups(server: str | None, vault_id: str | None) -> str:
    """A server or vault without a backup: nobody wants a mistyped ID to withdraw every share."""
    return f"there is no backup of {server or vault_id}: check servers and vault_id. Nothing was changed"


def accepter_needs_owners() -> str:
    """An acceptance of shares of nobody."""
    return "AcceptPendingShares needs source_project_ids: a list of the owners' project IDs"


# The first-class provider


def unknown_setting(name: str, closest: str | None) -> str:
    """Refuse a setting that does not exist."""
    return f"unknown setting cbr:{name}{_did_you_mean(closest and f'cbr:{closest}')}"


def invalid_parallel(value: object) -> str:
    """Refuse a number of calls at once."""
    return f"cbr:parallel must be a whole number from 1 to 256, not {value!r}"


def unknown_property(name: str, closest: str | None) -> str:
    """Refuse an input that the resource does not have."""
    return f"unknown property {name}{_did_you_mean(closest)}"


def unknown_argument(function: str, name: str, closest: str | None) -> str:
    """Refuse an argument that the function does not have."""
    return f"{function} failed: unknown argument {name}{_did_you_mean(closest)}"


def missing_argument(function: str, name: str) -> str:
    """Ask for an argument that the function requires."""
    return f"{function} failed: {name} is missing. Set it"


def invalid_argument_type(function: str, name: str, kind: str, value: object) -> str:
    """Refuse an argument of the wrong type."""
    return f"{function} failed: {name} must be of type {kind}, not {value!r}"


def unknown_token(kind: str, token: str, closest: str | None) -> str:
    """Refuse a resource or a function that the package does not have."""
    return f"unknown {kind} {token}{_did_you_mean(closest)}. Check that program and provider have the same version"


def method_not_supported(method: str) -> str:
    """Refuse a request that this provider does not serve."""
    return f"{method} is not supported by this provider"


def wait_cancelled() -> str:
    """Report a wait that the engine has ended."""
    return "cancelled while waiting to try again. Run again to finish"


def custom_timeout_exceeded() -> str:
    """Report a resource whose own time has ended."""
    return "timed out (customTimeouts). Run again, or give the resource more time"


def provider_moves(provider: str, changes: str) -> str:
    """Warn that an explicit provider will sign in elsewhere than its resources were made."""
    return (
        f"Provider {provider!r} changes {changes}: refresh and destroy of its existing resources will fail. "
        "Declare a second Provider for another project or region"
    )


def _did_you_mean(closest: str | None) -> str:
    return f" (did you mean {closest}?)" if closest else ""
