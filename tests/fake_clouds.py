"""Clouds of every name on this machine: a proxy that answers for each host, with certificates of a private authority.

A client reaches them by ``HTTPS_PROXY`` and trusts them by ``REQUESTS_CA_BUNDLE``: real host names, CONNECT, TLS.
Every credential that a test makes up begins with the tag of its cloud (``otc-``, ``hw-``...), so that
`FakeClouds.strayed` can tell when one was sent to a host of another cloud.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: The tag of each domain, and the regions that its catalog has.
DOMAINS = {
    "otc.t-systems.com": ("otc", ("eu-de", "eu-nl")),
    "sc.otc.t-systems.com": ("swiss", ("eu-ch2",)),
    "myhuaweicloud.com": ("hw", ("ap-southeast-1", "ap-southeast-3", "cn-north-4")),
    "myhuaweicloud.eu": ("hweu", ("eu-west-101",)),
    "prod-cloud-ocb.orange-business.com": ("orange", ("eu-west-0", "eu-west-1")),
    "partner.example.com": ("partner", ("xx-west-1",)),
    "private.example.org": ("private", ("r1", "r2")),
}

OWN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
#: The names of the projects above in each cloud, after their region.
NAMES = {OWN: "own", OTHER: "other"}

BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"


@dataclass(frozen=True)
class CloudRequest:
    """A request as it came in. Header names are lower case."""

    host: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """A response of a fake cloud."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def tag_of(host: str) -> str:
    """Return the tag of the cloud that a host belongs to."""
    fitting = [domain for domain in DOMAINS if host == domain or host.endswith(f".{domain}")]
    return DOMAINS[max(fitting, key=len)][0] if fitting else "nobody"


def project_id(tag: str, name: str) -> str:
    """Return the ID of the project of a name in a cloud."""
    return hashlib.md5(f"{tag}/{name}".encode(), usedforsecurity=False).hexdigest()


class FakeClouds:
    """All clouds at once, as a context manager. `requests` are those that came in so far."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[CloudRequest] = []
        #: The URL of ``cbr`` in the catalogs.
        self.catalog_url = "https://cbr.{region}.{domain}/v3/{project}"
        self.interfaces: tuple[str, ...] = ("public",)
        #: What differs in every entry of the catalogs.
        self.catalog_changes: Mapping[str, str | None] = {}
        #: The region that the projects are in by their names.
        self.home = "eu-de"
        #: Whether each name is that of two projects.
        self.twins = False
        #: The only host that has the backup; None for all.
        self.backup_at: str | None = None
        self.certificates = folder / "authority.pem"
        self._authority = _Authority(folder)
        self._projects: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._server = _Proxy(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def proxy(self) -> str:
        """The URL for ``HTTPS_PROXY``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client reaches and trusts the clouds."""
        bundle = str(self.certificates)
        return {"HTTPS_PROXY": self.proxy, "HTTP_PROXY": self.proxy, "REQUESTS_CA_BUNDLE": bundle}

    @property
    def subject_hash(self) -> str:
        """The name that OpenSSL looks the authority up by in a folder of certificates."""
        return self._authority.subject_hash

    def __enter__(self) -> FakeClouds:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def clear(self) -> None:
        """Forget what came in."""
        self.requests.clear()
        self.catalog_url = "https://cbr.{region}.{domain}/v3/{project}"
        self.interfaces = ("public",)
        self.catalog_changes = {}
        self.home = "eu-de"
        self.twins = False
        self.backup_at = None

    def context(self, host: str) -> ssl.SSLContext:
        """Return the TLS side of a host."""
        with self._lock:
            return self._authority.context(host)

    def sent_to(self, service: str) -> list[CloudRequest]:
        """Return the requests to hosts that begin with `service`, such as ``iam``."""
        return [request for request in self.requests if request.host.startswith(service)]

    def strayed(self) -> list[str]:
        """Name each credential that was sent to a host of another cloud than its own."""
        return [
            f"{credential} to {request.host}"
            for request in self.requests
            for credential in _credentials(request)
            if credential.partition("-")[0] != tag_of(request.host)
        ]

    def answer(self, request: CloudRequest) -> Answer:
        """Answer as the identity service or CBR of the host's cloud."""
        self.requests.append(request)
        tag = tag_of(request.host)
        if request.path in ("/v3/auth/tokens", "/auth/tokens"):
            return self._sign_in(request, tag)
        if request.path in ("/v3", "/v3/"):
            links = [{"rel": "self", "href": f"https://{request.host}/v3/"}]
            return Answer(200, {"version": {"id": "v3.14", "status": "stable", "links": links}})
        if request.path == "/v3/projects":
            names = parse_qs(urlsplit(request.target).query).get("name", ["eu-de"])
            tags = (tag, f"{tag}-twin") if self.twins else (tag,)
            return Answer(
                200, {"projects": [{"name": name, "id": project_id(of, name)} for name in names for of in tags]}
            )
        match = re.fullmatch(r"/v3/([0-9a-f]{32})/backups/([0-9a-f-]{36})(/members)?(/[0-9a-f]{32})?", request.path)
        if match and self.backup_at in (None, request.host):
            return _backup(request.method, *match.groups())
        return Answer(404, {"error_code": "BackupService.6200", "error_msg": "no such backup"})

    def _sign_in(self, request: CloudRequest, tag: str) -> Answer:
        auth = request.json["auth"]
        scope = auth.get("scope", {}).get("project", {})
        project: str | None = scope.get("id")
        if "name" in scope:
            project = project_id(tag, scope["name"])
        if "OS-TRUST:trust" in auth.get("scope", {}):
            project = project_id(tag, "trust")
        if "application_credential" in auth["identity"]["methods"]:
            project = project_id(tag, "application")
        token = f"{tag}-token{len(self._projects)}"
        self._projects[token] = project
        issued = datetime.now(timezone.utc)
        body = {
            "methods": auth["identity"]["methods"],
            "issued_at": issued.isoformat(),
            "expires_at": (issued + timedelta(hours=24)).isoformat(),
            "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
            "catalog": self._catalog(request.host, project),
        }
        if project:
            name = scope.get("name") or (f"{self.home}_{NAMES[project]}" if project in NAMES else "by-id")
            body["project"] = {"id": project, "name": name, "domain": {"id": "d", "name": "d"}}
        return Answer(201, {"token": body}, {"X-Subject-Token": token})

    def _catalog(self, host: str, project: str | None) -> list[dict[str, Any]]:
        fitting = [domain for domain in DOMAINS if host.endswith(f".{domain}")]
        if not fitting:
            return []
        domain = max(fitting, key=len)
        entries = [
            {
                "id": f"{region}-{interface}",
                "interface": interface,
                "region": region,
                "region_id": region,
                "url": self.catalog_url.format(
                    region=region if interface == "public" else f"{region}-{interface}", domain=domain, project=project
                ),
                **self.catalog_changes,
            }
            for region in DOMAINS[domain][1]
            for interface in self.interfaces
        ]
        return [{"type": "cbr", "id": "cbr", "name": "cbr", "endpoints": entries}]


_BACKUP = {
    "name": "nightly",
    "status": "available",
    "resource_type": "OS::Nova::Server",
    "resource_id": BACKUP,
    "resource_name": "web",
    "vault_id": BACKUP,
    "image_type": "backup",
    "created_at": "2020-02-05T10:38:34.209782",
}


def _backup(method: str, project: str, backup: str, members: str | None, receiver: str | None) -> Answer:
    """Answer for a backup that is shared with the receiver in the path, or with `OTHER`."""
    if not members:
        return Answer(200, {"backup": {**_BACKUP, "id": backup, "project_id": project}})
    member = {
        "id": BACKUP,
        "backup_id": backup,
        "dest_project_id": (receiver or f"/{OTHER}")[1:],
        "status": {"PUT": "rejected", "POST": "pending"}.get(method, "accepted"),
        "vault_id": BACKUP,
        "created_at": datetime.now(timezone.utc).isoformat() if method == "POST" else "2020-02-05T10:38:34.209782",
    }
    if method == "DELETE":
        return Answer(204)
    return Answer(200, {"member": member} if receiver else {"members": [member], "count": 1})


def _credentials(request: CloudRequest) -> Iterator[str]:
    """Yield the credentials that a request carries."""
    for name in ("x-auth-token", "x-security-token"):
        if name in request.headers:
            yield request.headers[name]
    if match := re.search(r"Access=([^,]+)", request.headers.get("authorization", "")):
        yield match[1]
    if request.method == "POST" and request.path.endswith("/auth/tokens"):
        identity = request.json["auth"]["identity"]
        if "password" in identity:
            yield identity["password"]["user"]["password"]
        if "token" in identity:
            yield identity["token"]["id"]
        if "application_credential" in identity:
            yield identity["application_credential"]["secret"]
        if "totp" in identity:
            yield identity["totp"]["user"]["passcode"]


class _Authority:
    """Makes the certificate of each host when it is first asked for. All have one key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Private authority of the tests")])
        self._contexts: dict[str, ssl.SSLContext] = {}
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            self._builder(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "authority.pem").write_bytes(self._pem)

    @property
    def subject_hash(self) -> str:
        """The hash of the subject in lower case, without the outer header of two bytes."""
        words = str(self._name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value).lower()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
        digest = hashlib.sha1(name.public_bytes()[2:], usedforsecurity=False).digest()
        return f"{int.from_bytes(digest[:4], 'little'):08x}"

    def _builder(self, subject: x509.Name) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        public = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        )

    def context(self, host: str) -> ssl.SSLContext:
        """Return the server's side of TLS for a host."""
        if host not in self._contexts:
            certificate = (
                self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .sign(self._key, hashes.SHA256())
            )
            key = self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            path = self._folder / "host.pem"
            path.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            self._contexts[host] = context
        return self._contexts[host]


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, clouds: FakeClouds) -> None:
        self.clouds = clouds
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # without asking the name service for this machine's name

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Proxy
    connection: socket.socket
    host = ""

    def do_CONNECT(self) -> None:
        """Act as the host that was asked for."""
        self.host = self.path.rpartition(":")[0]
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.connection = self.server.clouds.context(self.host).wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", -1)
        self.close_connection = False

    def finish(self) -> None:
        """Close what TLS made of the connection: the server only knows the plain one."""
        super().finish()
        self.connection.close()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = self.path
        if target.startswith("http://"):
            self.host = urlsplit(target).hostname or ""
            target = target.removeprefix("http://").partition("/")[2].join(("/", ""))
        answer = self.server.clouds.answer(CloudRequest(self.host, self.command, target, headers, body))
        content = b"" if answer.status == 204 else json.dumps(answer.body).encode()
        self.send_response_only(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass
