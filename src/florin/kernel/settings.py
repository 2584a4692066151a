"""What an operator may set, read once from `FLORIN_*` environment variables."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_ORIGIN: Final = re.compile(
    # http only where a page of a developer's own machine comes from.
    r"(https://(?:[a-z0-9-]+\.)*[a-z0-9-]+|http://(?:localhost|127\.0\.0\.1|\[::1\]))(:[1-9][0-9]{0,4})?"
)


class SettingUnusable(ValueError):
    """What a setting names cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """Every setting has a default that is right for a laptop; each is `FLORIN_` + its name."""

    model_config = SettingsConfigDict(env_prefix="FLORIN_", extra="ignore")

    data_dir: Path = Path(".florin")
    """Embedded database, generated passwords, the key ring and `demo.env` live here."""

    database_url: SecretStr | None = None
    """A login that may create roles and schemas on PostgreSQL 17+. Unset: the embedded server."""

    app_database_url: SecretStr | None = None
    """A login of role `florin_app`. Unset: `database_url` with the role switched on connect."""

    pg_shared_buffers: str | None = Field(None, pattern=r"^[1-9][0-9]*(kB|MB|GB)$")
    """Memory of the embedded server's cache. Unset: an eighth of the machine's, 128 MB to 4 GB."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65534)
    workers: int = Field(1, ge=1, le=64)
    """API processes. Each adds about 100 MB and one core's worth of requests."""

    pool_size: int = Field(8, ge=2, le=200)
    """Database connections of one API process. Grouped writes need few."""

    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    """A larger request body is refused with 413 before it is read whole."""

    tls_certificate: Path | None = None
    """The chain that the API shows, PEM, its own certificate first. With `tls_key` the API speaks https only.
    Both files are looked at every ten seconds; new ones count for new connections."""

    tls_key: Path | None = None
    """The private key, PEM, without a passphrase; mode 600, or 640 when root owns it."""

    tls_client_ca: Path | None = None
    """Set: only clients with a certificate of these authorities are served at all (mutual TLS)."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins (`https://app.example`), comma separated, whose pages may call the API. Unset: none."""

    max_connections: int = Field(4_000, ge=10, le=100_000)
    """Of one API process. When they are taken, those that have waited longest without a request give way."""

    max_connections_per_address: int = Field(512, ge=1, le=100_000)
    """Of one API process; not for this machine's own addresses and `trusted_proxies`."""

    keep_alive_s: int = Field(75, ge=1, le=3600)
    """How long a connection may rest between two requests."""

    request_timeout_s: float = Field(60, ge=1, le=3600)
    """How long an answer may take to begin, the body having come, before the request is given up with 504.
    Imports are exempt."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of your own proxies, comma separated: behind them, `X-Forwarded-For` says who calls."""

    public_url: str | None = Field(None, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s/?#])?$")
    """Where clients reach Florin, which is what tokens name as their issuer: https://pay.bank.example.
    Unset: host and port."""

    session_max_days: int = Field(30, ge=1, le=365)
    """A sign-in lasts no longer than this, however often it is renewed."""

    session_idle_days: int = Field(7, ge=1, le=365)
    """It ends earlier when it is not renewed for so long."""

    session_idle_privileged_minutes: int = Field(15, ge=15, le=1440)
    """The same for users who may do more than read in the whole tenant: PCI DSS 4.0.1, 8.2.8."""

    signing_key_days: int = Field(90, ge=2, le=3650)
    """For how long a key signs access tokens before its successor does."""

    rate_limit_per_minute: int = Field(1_000, ge=0, le=1_000_000_000)
    rate_limit_per_hour: int = Field(10_000, ge=0, le=1_000_000_000)
    rate_limit_per_day: int = Field(100_000, ge=0, le=1_000_000_000)
    """Calls that a new API key may make if neither it nor its partner says otherwise. 0: unlimited."""

    user_limit_per_minute: int = Field(600, ge=0, le=1_000_000_000)
    user_limit_per_hour: int = Field(10_000, ge=0, le=1_000_000_000)
    user_limit_per_day: int = Field(100_000, ge=0, le=1_000_000_000)
    """Calls that a signed-in user may make. 0: unlimited."""

    tenant_limit_per_minute: int = Field(0, ge=0, le=1_000_000_000)
    tenant_limit_per_hour: int = Field(0, ge=0, le=1_000_000_000)
    tenant_limit_per_day: int = Field(0, ge=0, le=1_000_000_000)
    """Calls of all keys and users of a tenant together, if it has no ceiling of its own. 0: unlimited."""

    stranger_limit_per_minute: int = Field(60, ge=0, le=1_000_000_000)
    stranger_limit_per_hour: int = Field(1_000, ge=0, le=1_000_000_000)
    stranger_limit_per_day: int = Field(10_000, ge=0, le=1_000_000_000)
    """What an address may ask without a credential (signing in, refreshing) or with one that does not hold.
    0: unlimited. A proxy in front has to be one of `trusted_proxies`, or all callers are one address."""

    ledger_months_kept: int = Field(24, ge=0, le=1200)
    """Whole months of transfers and entries, before the present one, that stay out of the archive. 0: all."""

    retention_least_personal_years: int = Field(1, ge=1, le=100)
    retention_least_transactions_years: int = Field(5, ge=5, le=100)
    retention_least_audit_years: int = Field(1, ge=1, le=100)
    """What tenants may go down to with their own rules of retention."""

    log_level: str = "info"
    log_format: str = Field("console", pattern="^(console|json)$")

    log_file: Path | None = None
    """Where the log of every process also goes, appended. Unset: to standard error only."""

    key_ring: SecretStr | None = None
    """`id:base64(32 bytes)` pairs, comma separated, newest first. Unset: `key_ring_file`."""

    key_ring_file: Path | None = None
    """A file of mode 600 with such pairs, one a line. Unset: `key_ring` in `data_dir`, made when missing."""

    sandbox_url: str | None = None
    """Where the sandbox provider answers. Unset: in this process."""

    sandbox_secret: SecretStr | None = Field(None, min_length=16)
    """Shared by the API and `florin sandbox`: the sandbox's API key, and what its webhooks' key is made
    from. Unset: `sandbox_secret` in `data_dir`, made when missing."""

    allow_private_webhooks: bool = False
    """Webhooks to loopback and private addresses: for development."""

    receiver_url: str | None = None
    """A webhook receiver of our own that is trusted although it is local; `florin run` sets it."""

    argon2_memory_kib: int = Field(64 * 1024, ge=1024, le=4 * 1024 * 1024)
    argon2_iterations: int = Field(3, ge=1, le=100)
    argon2_lanes: int = Field(4, ge=1, le=64)
    """How passwords are hashed: RFC 9106, the second recommended option. Kept hashes follow at sign-in."""

    password_hashes_at_once: int = Field(2, ge=1, le=64)
    """Passwords that one process hashes at a time; each takes `argon2_memory_kib`."""

    breached_passwords: Path | None = None
    """SHA-1 hashes in order, a line each, as Have I Been Pwned gives them: passwords that are refused."""

    sms_sender: Literal["console", "file", "http"] = "console"
    sms_url: str | None = None
    sms_secret: SecretStr | None = None
    sms_template: str | None = None
    email_sender: Literal["console", "file", "http"] = "console"
    email_url: str | None = None
    email_secret: SecretStr | None = None
    email_template: str | None = None
    """Who sends codes: docs/sign-in.md. `console`: stderr of the process; `file`: `messages.jsonl` in
    `data_dir`; `http`: a POST to the URL with the secret as bearer and the template as body."""

    trust_gateways: bool = False
    """The gateways of `sms_url` and `email_url` may have private addresses, and http."""

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _separated(cls, given: object) -> object:
        return (
            [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
        )

    @field_validator("cors_origins")
    @classmethod
    def _exact(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin: https://host or https://host:port in lower case, no path, no *"
                )
        return given

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("FLORIN_TLS_CERTIFICATE and FLORIN_TLS_KEY are set together or not at all")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("FLORIN_TLS_CLIENT_CA needs FLORIN_TLS_CERTIFICATE and FLORIN_TLS_KEY")
        return self

    @property
    def scheme(self) -> str:
        """`https` when the API speaks TLS itself."""
        return "http" if self.tls_certificate is None else "https"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings. Tests build `Settings(...)` of their own instead."""
    return Settings()
