"""The sandbox's secrets. One is configured, or kept in the data directory; the others follow from it."""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from florin.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class SandboxKeys:
    """What both sides of the sandbox know."""

    api_key: str
    """The bearer token of the HTTP server."""

    webhook: bytes
    """Signs webhooks."""

    redirect: bytes
    """Signs the redirect links of the sandbox in process, which remembers no charge."""

    @classmethod
    def derive(cls, secret: str) -> "SandboxKeys":
        """All keys from one secret; the secret itself is the API key."""
        return cls(secret, _derive(secret, b"webhook"), _derive(secret, b"redirect"))


def sandbox_keys(settings: Settings) -> SandboxKeys:
    """From `FLORIN_SANDBOX_SECRET`, else from `sandbox_secret` in the data directory (mode 600, made
    when missing), so that the API and `florin sandbox` on one machine agree without being told."""
    if settings.sandbox_secret is not None:
        return SandboxKeys.derive(settings.sandbox_secret.get_secret_value())
    path = settings.data_dir / "sandbox_secret"
    if not path.exists():
        _write_once(path, f"sandbox_{secrets.token_urlsafe(32)}\n")
    return SandboxKeys.derive(path.read_text().strip())


def _derive(secret: str, purpose: bytes) -> bytes:
    return hmac.new(secret.encode(), purpose, sha256).digest()


def _write_once(path: Path, text: str) -> None:
    # Written aside and linked: another process sees the whole file or none, and the first one wins.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        with suppress(FileExistsError):
            path.hardlink_to(aside)
    finally:
        aside.unlink()
