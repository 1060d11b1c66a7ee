"""Certificates and proxies, with a server and a proxy of our own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import ServiceUnavailableError, SettingsError, UnknownOutcomeError
from pulumi_cbr.api.settings import Settings
from unit.api.kit import (
    BACKUP,
    BACKUP_OBJECT,
    FakeClock,
    Reply,
    Seen,
    Server,
    calls,
    fixed_token,
    grant,
    in_turn,
    password,
    ticking,
    trickle,
)

GOOD = Reply(200, {"backup": BACKUP_OBJECT})


def shown(settings: Settings) -> object:
    return CbrClient(settings, timing=FakeClock().timing).show_backup(BACKUP)


# Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make ``ca.pem``, ``server.pem`` for 127.0.0.1 and ``other.pem`` for another host."""
    folder = tmp_path_factory.mktemp("certificates")
    now = datetime.now(timezone.utc)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pulumi-cbr test CA")])

    def make(name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(ca_name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        return builder.add_extension(authority, critical=False).sign(ca_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    own_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = make(ca_name, ca_key, x509.BasicConstraints(ca=True, path_length=None), own_identifier, usage)
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    for file, host in (("server", x509.IPAddress(ip_address("127.0.0.1"))), ("other", x509.DNSName("other.example"))):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        leaf = make(name, key, x509.SubjectAlternativeName([host]))
        form = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{file}.pem").write_bytes(leaf.public_bytes(pem) + key.private_bytes(*form))
    return folder


@contextmanager
def secured(certificate: Path) -> Iterator[Server]:
    with Server(lambda seen: grant(server.url) if "tokens" in seen.path else GOOD, str(certificate)) as server:
        yield server


def test_unknown_ca_is_refused_at_once(certificates: Path) -> None:
    with secured(certificates / "server.pem") as server:
        for settings in (fixed_token(server.url), password(server.url)):
            with pytest.raises(ServiceUnavailableError) as error:
                shown(settings)
            assert f"the certificate of 127.0.0.1:{server.port} is not trusted (" in str(error.value)
            assert "by cbr:caCert" in str(error.value)
    assert (server.seen, server.connections) == ([], 0)


def test_ca_cert(certificates: Path) -> None:
    with secured(certificates / "server.pem") as server:
        assert shown(password(server.url, caCert=str(certificates / "ca.pem")))
    assert len(server.seen) == 2


def test_ca_cert_does_not_make_another_host_right(certificates: Path) -> None:
    with (
        secured(certificates / "other.pem") as server,
        pytest.raises(ServiceUnavailableError, match=r"not trusted .*mismatch"),
    ):
        shown(fixed_token(server.url, caCert=str(certificates / "ca.pem")))
    assert server.seen == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_insecure(certificates: Path) -> None:
    with secured(certificates / "other.pem") as server:
        assert shown(password(server.url, insecure=True))
        assert shown(password(server.url, insecure=True, caCert="/does/not/exist"))


def test_requests_ca_bundle(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secured(certificates / "server.pem") as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
        assert shown(password(server.url))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "none.pem"))
        # The setting comes before the environment.
        assert shown(password(server.url, caCert=str(certificates / "ca.pem")))
        for settings in (fixed_token(server.url), password(server.url)):
            with pytest.raises(ServiceUnavailableError, match=r"invalid path: .*\)\. Correct REQUESTS_CA_BUNDLE"):
                shown(settings)


def test_https_to_a_server_without() -> None:
    with Server(in_turn(GOOD)) as server, pytest.raises(ServiceUnavailableError, match=r"the connection to .* broke"):
        shown(fixed_token(server.url.replace("http:", "https:")))


# Proxies


@contextmanager
def proxy() -> Iterator[Server]:
    """Serve as an HTTP proxy: what it is asked for, it answers itself."""
    with Server(lambda seen: grant("http://127.0.0.2:9") if "tokens" in seen.path else GOOD) as server:
        yield server


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.replace("//", "//user:pass-word-9@"))
        assert shown(password("http://127.0.0.3:9", endpoint="http://127.0.0.3:9"))
    assert [seen.target.split("/")[2] for seen in server.seen] == ["127.0.0.3:9", "127.0.0.3:9"]
    assert all(seen.headers["proxy-authorization"].startswith("Basic ") for seen in server.seen)


def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda seen: grant(server.url) if "tokens" in seen.path else GOOD) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert shown(password(server.url))


def test_proxy_that_wants_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(in_turn(Reply(407, b"<html>"))) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        for url in ("http://127.0.0.3:9", "https://cbr.example.com"):
            for settings in (fixed_token(url), password(url)):
                with pytest.raises(
                    ServiceUnavailableError, match=r"asks for a user and a password \(HTTP 407\). Set HTTPS_PROXY"
                ):
                    shown(settings)
    assert len(server.seen) == 4


def test_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass-word-9@127.0.0.1:{taken.getsockname()[1]}")
        for settings in (fixed_token("https://cbr.example.com"), password("https://iam.example.com")):
            with pytest.raises(ServiceUnavailableError) as error:
                shown(settings)
            assert "the proxy for " in str(error.value)
            assert "cannot be reached (Connection refused)" in str(error.value)
            assert "http://user:password@host:port" in str(error.value)
            assert "pass-word-9" not in str(error.value)


def test_407_is_the_proxys_and_no_part_of_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        client = CbrClient(fixed_token("https://cbr.example.com"), timing=FakeClock().timing)
        with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
            client.show_backup("2f8a1a44-7b1f-4407-b7d5-1f1b3c2d4407")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass-word-9@host:port",
        "http://user:pass-word-9",
        "http:/user:pass-word-9@host:80",
        "user:pass-word-9@host:80",
        "ftp://user:pass-word-9@host",
        f"http://user:pass-word-9{'x' * 200}@host:port",
        "http://",
    ],
)
def test_proxy_that_is_no_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    for settings in (fixed_token("https://cbr.example.com"), password("https://iam.example.com")):
        with pytest.raises(ServiceUnavailableError, match="malformed URL of") as error:
            shown(settings)
        assert "pass-word-9" not in str(error.value)


def test_an_answer_that_trickles_in_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(in_turn(trickle(b"HTTP/1.1 200 OK\r\nX-", b"y"))) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        settings = fixed_token("http://127.0.0.3:9", timeout=4, maxRetries=0)
        with pytest.raises(ServiceUnavailableError, match="in time"):
            CbrClient(settings, timing=ticking()).show_backup(BACKUP)


@contextmanager
def tunnel(port: int) -> Iterator[tuple[str, list[bytes]]]:
    """Serve as a proxy that only passes on, to this port; give its URL, and what it was asked."""
    asked: list[bytes] = []

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                asked.append(connection.recv(65536))
                with connection, socket.create_connection(("127.0.0.1", port)) as upstream:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pass_on, args=(upstream, connection), daemon=True)
                    back.start()
                    pass_on(connection, upstream)
                    back.join(5)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the one that waits
    thread.join(5)


def test_tunnel_through_a_proxy(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secured(certificates / "server.pem") as server, tunnel(server.port) as (url, asked):
        monkeypatch.setenv("HTTPS_PROXY", url)
        shown(fixed_token(server.url, caCert=str(certificates / "ca.pem")))
    assert asked[0].startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
    assert b"X-Auth-Token" not in asked[0]


#: How often a call is sent whose answer is lost.
LOST = {"add_members": 1, "update_member": 1, "delete_member": 5}


@pytest.mark.parametrize("call", LOST)
def test_answer_lost_behind_a_proxy(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(in_turn(None)) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        with pytest.raises(UnknownOutcomeError, match=r"the connection to 127.0.0.3:9 broke"):
            calls(CbrClient(fixed_token("http://127.0.0.3:9"), timing=FakeClock().timing))[call]()
    assert len(server.seen) == LOST[call]


@pytest.mark.parametrize("call", LOST)
def test_answer_lost_in_a_tunnel(call: str, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(in_turn(None), str(certificates / "server.pem")) as server, tunnel(server.port) as (url, _):
        monkeypatch.setenv("HTTPS_PROXY", url)
        settings = fixed_token(server.url, caCert=str(certificates / "ca.pem"))
        with pytest.raises(UnknownOutcomeError, match=rf"the connection to 127.0.0.1:{server.port} broke"):
            calls(CbrClient(settings, timing=FakeClock().timing))[call]()
    assert len(server.seen) == LOST[call]


def test_catalogue_of_plain_http_through_a_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(seen: Seen) -> Reply:
        return grant("http://cbr.example.com")

    with Server(respond) as server, pytest.raises(SettingsError, match="plain http"):
        shown(password(server.url))
