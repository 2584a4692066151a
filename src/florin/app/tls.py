"""TLS of the API: a context made of files, which takes up new ones while it serves.

TLS 1.2 and 1.3, forward secrecy and authenticated encryption only (PCI DSS 4.0.1, 4.2.1; RFC 9325).
"""

import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from florin.kernel.settings import Settings

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all as strong."""


class BadTls(Exception):
    """The certificate or its key cannot be used; the message says which file and why."""


@dataclass(slots=True)
class Tls:
    """The context that a server listens with, and the files that it was made of."""

    certificate: Path
    key: Path
    client_ca: Path | None
    context: ssl.SSLContext
    _seen: Sequence[tuple[int, int]] = field(default=())

    def renew(self) -> bool:
        """Takes up the files if they have changed; what is connected stays so. Whether they had.

        Certificate authorities are only added: one that is to be trusted no longer needs a restart.

        Raises:
            BadTls: they do not fit (half of them are written, perhaps); the old ones stay in use.
        """
        seen = _fingerprint(self.certificate, self.key, self.client_ca)
        if seen == self._seen:
            return False
        _context(self.certificate, self.key, self.client_ca)  # tried on one that nobody uses
        _load(self.context, self.certificate, self.key, self.client_ca)
        self._seen = seen
        return True


def open_tls(settings: Settings) -> Tls | None:
    """TLS as the settings ask for it; None if they do not.

    Raises:
        BadTls: a file is missing, unreadable, does not belong to the other, or is open to others.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    context = _context(certificate, key, settings.tls_client_ca)
    seen = _fingerprint(certificate, key, settings.tls_client_ca)
    return Tls(certificate, key, settings.tls_client_ca, context, seen)


def check_private(path: Path) -> None:
    """Passes a file that nobody but its owner can read: mode 600, or 640 when root owns it.

    Raises:
        BadTls: others can read or write it, or it is not there.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise BadTls(f"{path}: {error.strerror}") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & (0o027 if found.st_uid == 0 else 0o077):
        raise BadTls(f"{path} has mode {mode:o}: others can read the private key. chmod 600 {path}")


def _context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    _load(context, certificate, key, client_ca)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path, client_ca: Path | None) -> None:
    check_private(key)

    def no_passphrase() -> str:
        raise BadTls(f"{key} has a passphrase, and nobody is here to type it")

    at = certificate
    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
        if client_ca is not None:
            at = client_ca
            context.load_verify_locations(client_ca)
    except (OSError, ssl.SSLError) as error:
        reason = "the key is not the certificate's" if "KEY_VALUES_MISMATCH" in str(error) else error
        raise BadTls(f"{at} with {key}: {reason}" if at is certificate else f"{at}: {reason}") from error


def _fingerprint(*paths: Path | None) -> tuple[tuple[int, int], ...]:
    """When each file was written and which one it is. (0, 0): it is not there now."""
    found = []
    for path in paths:
        try:
            told = path.stat() if path is not None else None
        except OSError:
            told = None
        found.append((0, 0) if told is None else (told.st_mtime_ns, told.st_ino))
    return tuple(found)
