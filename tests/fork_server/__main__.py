"""Run Python programs in forks of one process, which has imported what they import.

To import `pulumi` and gRPC takes half of the time of a plugin, or of a program. `client.py` takes the place of `python`: it
sends its arguments, folder, environment and standard streams, passes signals on, and ends as its fork ends.
"""

from __future__ import annotations

import array
import gc
import importlib
import io
import os
import runpy
import selectors
import signal
import site
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass

STREAMS = 3


@dataclass
class Request:
    """A program that a client asks for."""

    folder: str
    arguments: list[str]
    environment: dict[bytes, bytes]
    streams: list[int]

    @classmethod
    def receive(cls, client: socket.socket) -> Request:
        """Read a request: its length in four bytes, with the streams, and then its parts."""
        head, ancillary, *_ = client.recvmsg(4, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
        streams = array.array("i", ancillary[0][2])
        with client.makefile("rb") as file:
            folder, count, *parts = file.read(int.from_bytes(head, "big")).split(b"\0")
        number = int(count)
        environment = dict(part.split(b"=", 1) for part in parts[number:])
        return cls(os.fsdecode(folder), [os.fsdecode(part) for part in parts[:number]], environment, streams.tolist())

    def enter(self) -> None:
        """Take over the client's streams, folder and environment."""
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(self.folder)
        os.environ.clear()
        os.environb.update(self.environment)
        # What depends on the command and on the environment.
        sys.orig_argv[1:] = self.arguments
        tempfile.tempdir = None
        is_unbuffered = "PYTHONUNBUFFERED" in os.environ
        if self.arguments[0] == "-u":
            is_unbuffered = True
            del self.arguments[0]
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
        sys.stdout = _output(1, "strict", is_unbuffered)
        sys.stderr = _output(2, "backslashreplace", is_unbuffered)

    def run(self) -> None:
        """Run the module or the file."""
        paths = os.environ.get("PYTHONPATH")
        if paths:
            sys.path[1:1] = paths.split(os.pathsep)
            # A test's own `sitecustomize` changes ours as it is imported.
            for name in [name for name in sys.modules if name.partition(".")[0] == "pulumi_cbr"]:
                del sys.modules[name]
            site.execsitecustomize()
        if self.arguments[0] == "-m":
            _, module, *rest = self.arguments
            sys.path[0], sys.argv = self.folder, ["-m", *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            # A test rewrites its program within a second. If the size stays, Python would run the old one's bytecode.
            sys.dont_write_bytecode = True
            sys.path[0], sys.argv = os.path.dirname(os.path.abspath(self.arguments[0])), self.arguments
            runpy.run_path(self.arguments[0], run_name="__main__")


def _output(number: int, errors: str, is_unbuffered: bool) -> io.TextIOWrapper:
    file = io.FileIO(number, "w", closefd=False)
    buffer = file if is_unbuffered else io.BufferedWriter(file)
    return io.TextIOWrapper(buffer, errors=errors, write_through=is_unbuffered, line_buffering=number == 2)


@dataclass
class Fork:
    """A running fork, and the client that waits for it."""

    process: int
    descriptor: int
    client: socket.socket

    def signal(self) -> bool:
        """Pass on the client's signal; kill the fork of a client that is gone."""
        numbers = self.client.recv(1)
        signal.pidfd_send_signal(self.descriptor, numbers[0] if numbers else signal.SIGKILL)
        return bool(numbers)

    def end(self) -> None:
        """Send the status of the fork to the client."""
        _, status = os.waitpid(self.process, 0)
        with suppress(OSError):
            self.client.send(status.to_bytes(4, "big"))
        os.close(self.descriptor)
        self.client.close()


class Server:
    """The process that is forked."""

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        # Closed when the process ends that started the server.
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._forks: dict[object, Fork] = {}

    def serve(self) -> Request | None:
        """Serve until standard input is closed; in a fork, return what it is to run."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    return None
                if key.fileobj is self._listener:
                    request = self._fork(self._listener.accept()[0])
                    if request:
                        return request
                # One that has ended may have had a signal too.
                elif key.fileobj in self._forks:
                    self._attend(key.fileobj, self._forks[key.fileobj])

    def _fork(self, client: socket.socket) -> Request | None:
        request = Request.receive(client)
        process = os.fork()
        if not process:
            self._selector.close()
            for opened in self._listener, client, *(fork.client for fork in self._forks.values()):
                opened.close()
            return request
        for stream in request.streams:
            os.close(stream)
        fork = Fork(process, os.pidfd_open(process), client)
        for source in fork.descriptor, client:
            self._forks[source] = fork
            self._selector.register(source, selectors.EVENT_READ)
        return None

    def _attend(self, source: object, fork: Fork) -> None:
        if source is fork.client:
            if not fork.signal():
                self._forget(fork.client)
            return
        self._forget(fork.descriptor)
        if fork.client in self._forks:
            self._forget(fork.client)
        fork.end()

    def _forget(self, source: int | socket.socket) -> None:
        self._selector.unregister(source)
        del self._forks[source]


if __name__ == "__main__":
    _, address, *modules = sys.argv
    for name in modules:
        importlib.import_module(name)
    server = Server(address)
    print(flush=True)
    # What is not collected is not written to, so that it stays shared.
    gc.collect()
    gc.freeze()
    asked = server.serve()
    if asked:
        del server
        asked.enter()
        asked.run()
