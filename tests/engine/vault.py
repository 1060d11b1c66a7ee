"""A vault that hides nothing: the engine's secrets without a passphrase, whose key takes a third of a CPU second to derive."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: The key of all stacks, as `pulumi stack init` takes it.
SECRETS_PROVIDER = "hashivault://test"


class Vault(BaseHTTPRequestHandler):
    """A transit engine of HashiCorp Vault, which encrypts each text to itself."""

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = {"ciphertext": body["plaintext"]} if "/encrypt/" in self.path else {"plaintext": body["ciphertext"]}
        answer = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def running_vault() -> Iterator[dict[str, str]]:
    """Run a vault, and give the variables by which the engine finds it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Vault) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"VAULT_ADDR": f"http://127.0.0.1:{server.server_port}", "VAULT_TOKEN": "test"}
        server.shutdown()
        thread.join()
