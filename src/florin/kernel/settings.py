"""What an operator may set, read once from `FLORIN_*` environment variables."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


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

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of your own proxies, comma separated: behind them, `X-Forwarded-For` says who calls."""

    rate_limit_per_minute: int = Field(1_000, ge=0, le=1_000_000_000)
    rate_limit_per_hour: int = Field(10_000, ge=0, le=1_000_000_000)
    rate_limit_per_day: int = Field(100_000, ge=0, le=1_000_000_000)
    """Calls that a new API key may make if neither it nor its partner says otherwise. 0: unlimited."""

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

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _separated(cls, given: object) -> object:
        return (
            [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
        )


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings. Tests build `Settings(...)` of their own instead."""
    return Settings()
