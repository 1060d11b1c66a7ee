"""Announcements: files by which commands find the simulators that ``serve`` runs.

An announcement holds the URL and a random secret, in a folder that only this user can read. A file may outlive its
simulator and another program may take the port. So a simulator proves with each response that it knows the secret: see
`sign_response`. The secret itself is never sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pulumi_cbr.private_folder import PrivateFolder

__all__ = [
    "NONCE_HEADER",
    "PROOF_HEADER",
    "Announcement",
    "announce",
    "read_announcements",
    "remove_announcement",
    "sign_response",
]

#: A request has random text in this header if the response is to be signed.
NONCE_HEADER = "X-Simulator-Nonce"
#: The response has its signature in this one.
PROOF_HEADER = "X-Simulator-Proof"

_SUFFIX = ".json"


@dataclass(frozen=True)
class Announcement:
    """An announced simulator."""

    url: str
    #: The simulator proves that it knows this.
    secret: bytes
    pid: int
    started: float
    #: Name of the file in the folder.
    name: str


def sign_response(secret: bytes, nonce: str, method: str, target: str, status: int, body: bytes) -> str:
    """Return the signature of a response, in hex.

    It is the HMAC-SHA256 of the nonce, the request and the response.
    """
    head = json.dumps([nonce, method, target, status]).encode()
    return hmac.new(secret, head + b"\n" + body, hashlib.sha256).hexdigest()


@contextmanager
def announce(url: str, secret: bytes) -> Iterator[None]:
    """Announce a simulator while the context lasts.

    Removes what killed simulators left behind. Raises OSError, before the context is entered, if the folder cannot be
    used.
    """
    name = f"{os.getpid()}-{url.rpartition(':')[2]}{_SUFFIX}"
    entry = {"url": url, "secret": secret.hex(), "pid": os.getpid(), "started": time.time()}
    with _open_folder() as folder:
        _read_all(folder)
        folder.write(name, json.dumps(entry).encode())
    try:
        yield
    finally:
        with suppress(OSError), _open_folder() as folder:
            folder.remove(name)


def read_announcements() -> list[Announcement]:
    """Return the announcements of processes that live, the latest first.

    Raises OSError if the folder cannot be used.
    """
    with _open_folder() as folder:
        return sorted(_read_all(folder), key=lambda found: found.started, reverse=True)


def remove_announcement(announcement: Announcement) -> None:
    """Remove the announcement of a simulator that is gone."""
    with suppress(OSError), _open_folder() as folder:
        folder.remove(announcement.name)


def _open_folder() -> PrivateFolder:
    return PrivateFolder.in_runtime_folder("simulators")


def _read_all(folder: PrivateFolder) -> list[Announcement]:
    """Return the valid announcements, and remove those of dead processes."""
    found: list[Announcement] = []
    for name in folder.names():
        if not name.endswith(_SUFFIX):
            continue
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if _is_dead(int(name.partition("-")[0])):
                folder.remove(name)
                continue
            entry = json.loads(folder.read(name))
            secret = bytes.fromhex(entry["secret"])
            if secret:
                found.append(Announcement(str(entry["url"]), secret, int(entry["pid"]), float(entry["started"]), name))
    return found


def _is_dead(pid: int) -> bool:
    if sys.platform == "win32":
        # There `os.kill` would end the process. Nobody listens at the URL of a dead one.
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
