"""Which certificates are trusted: a file, a folder or PEM text."""

from __future__ import annotations

import atexit
import os
import ssl
import tempfile
from collections.abc import Callable
from functools import cache

from pulumi_cbr import messages
from pulumi_cbr.api.errors import SettingsError

_PEM = "-----BEGIN "

#: Variables that name a file or folder for every program; requests itself knows the first two.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def resolve_ca_bundle(ca_cert: str | None, origin: str = "caCert") -> str | None:
    """Return the file or folder to check certificates with, or None for the usual ones.

    `ca_cert` is a path, in which ``~`` is the home folder, or PEM text. Raises `SettingsError`, which names `origin`.
    """
    if ca_cert and ca_cert.lstrip().startswith(_PEM):
        _check(lambda context: context.load_verify_locations(cadata=ca_cert), origin, messages.pem_text())
        return _write_pem(ca_cert)
    if ca_cert:
        path = os.path.expanduser(ca_cert)
        _check_path(path, origin)
        return path
    name = next((name for name in _BUNDLES if os.environ.get(name)), None)
    if name is None or name in _BUNDLES[:2]:
        return None
    path = os.path.expanduser(os.environ[name])
    _check_path(path, name)
    return path


def _check_path(path: str, origin: str) -> None:
    if os.path.isdir(path):
        _check(lambda context: context.load_verify_locations(capath=path), origin, path)
    else:
        _check(lambda context: context.load_verify_locations(cafile=path), origin, path)


def _check(load: Callable[[ssl.SSLContext], None], origin: str, shown: str) -> None:
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(messages.no_certificates(origin, shown, why)) from error


@cache
def _write_pem(text: str) -> str:
    """Write PEM text to a file of this process, because requests takes only a path."""
    descriptor, path = tempfile.mkstemp(prefix="pulumi-cbr-", suffix=".pem")
    with open(descriptor, "w") as file:
        file.write(text)
    atexit.register(_remove, path)
    return path


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
