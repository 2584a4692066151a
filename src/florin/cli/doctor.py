"""`florin doctor`: looks at what must hold for the books to be safe, and says what does not."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from cryptography import x509
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from florin.app.rooms import key_ring
from florin.app.tls import BadTls, open_tls
from florin.kernel.clock import now
from florin.kernel.crypto import BadKeyRing
from florin.kernel.database_urls import DatabaseUrls
from florin.kernel.db import Database
from florin.kernel.notify import Notifier
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.privacy.reencryption.service import needs
from florin.tenancy.customers.service import count_in_plain
from florin.tenancy.service import Tenancy, tenant_ids

_MIN_FREE_BYTES = 2 * 1024**3
_MAX_CLOCK_SKEW_S = 2.0
_CERTIFICATE_LASTS = timedelta(days=14)
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
_PRIVATE_FILES = ("secrets.json", "key_ring", "demo.env", "sandbox_secret")

_FACTS = """
SELECT current_setting('server_version_num')::integer AS version,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_user AS app_user,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS app_is_mighty,
       clock_timestamp() AS database_time,
       (SELECT array_agg(format('%I.%I', n.nspname, c.relname))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
          AND n.nspname NOT IN ('tenancy', 'pg_catalog')) AS unguarded,
       (SELECT array_agg(table_name::text) FROM kernel.partitioned_tables p
        WHERE to_regclass(table_name::text || to_char(
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', '"_y"YYYY"m"MM')) IS NULL
       ) AS without_next_month,
       (SELECT array_agg(DISTINCT t.tgrelid::regclass::text)
        FROM pg_trigger t
        WHERE t.tgname IN ('append_only', 'not_truncated', 'audited', 'audited_inserts') AND t.tgenabled = 'D'
       ) AS without_triggers,
       (SELECT count(*) FROM pg_event_trigger
        WHERE evtname IN ('florin_schema_changed', 'florin_schema_dropped') AND evtenabled IN ('A', 'O')
       ) AS schema_triggers
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it holds, what was seen, and what helps."""

    name: str
    holds: bool
    seen: str
    advice: str = ""


async def examine(settings: Settings, urls: DatabaseUrls, pending: int) -> list[Finding]:
    """Every finding, in the order of the table that `florin doctor` prints."""
    async with await psycopg.AsyncConnection.connect(urls.app, row_factory=dict_row) as connection:
        cursor = await connection.execute(_FACTS)
        facts = await cursor.fetchone()
    assert facts is not None
    return [
        *_database(facts, pending),
        *lines(settings),
        *await _secrets(settings, urls, pending),
        *_machine(settings),
    ]


async def _secrets(settings: Settings, urls: DatabaseUrls, pending: int) -> list[Finding]:
    """Whether the ring opens what is sealed, and what has still to be sealed."""
    if pending:
        return []
    try:
        ring = key_ring(settings)
    except BadKeyRing as error:
        return [Finding("the key ring is one", False, str(error), "without it nothing that is sealed opens")]
    async with Database(urls.app, size=2) as database:
        tenancy = Tenancy(database, Notifier(database), ring, Vault(database, ring))
        tenants = await tenant_ids(tenancy)
        found = await needs(database, tenants)
        plain = sum([await count_in_plain(tenancy, one) for one in tenants])
    missing = sorted(found.key_ids - set(ring.ids))
    older = sum(found.of(key_id) for key_id in ring.ids[1:])
    return [
        Finding(
            "every sealed value has its key on the ring",
            not missing,
            ", ".join(missing) or "all",
            "put these keys back on the ring: without them the values are lost",
        ),
        Finding(
            "the newest key of the ring seals everything",
            older == 0,
            f"{older} values under older keys",
            "run florin secrets reencrypt, or leave it to the worker",
        ),
        Finding(
            "no customer stands in plain",
            plain == 0,
            f"{plain} customers",
            "run florin secrets encrypt, or leave it to the worker",
        ),
    ]


def _database(facts: dict[str, Any], pending: int) -> Iterator[Finding]:
    yield Finding("PostgreSQL 17 or newer", facts["version"] >= 170000, str(facts["version"]))  # noqa: PLR2004
    for name in ("fsync", "full_page_writes"):
        yield Finding(f"{name} is on", facts[name] == "on", facts[name], "without it a crash loses money")
    yield Finding(
        "commits are durable",
        facts["synchronous_commit"] not in ("off",),
        facts["synchronous_commit"],
        "set synchronous_commit = on",
    )
    yield Finding("migrations applied", pending == 0, f"{pending} pending", "run florin migrate")
    yield Finding(
        "the API's role is subject to row security",
        not facts["app_is_mighty"],
        facts["app_user"],
        "use florin_app, neither superuser nor BYPASSRLS",
    )
    unguarded = facts["unguarded"] or []
    yield Finding("every tenant table is guarded", not unguarded, ", ".join(unguarded) or "all")
    missing = facts["without_next_month"] or []
    yield Finding(
        "next month has its partitions",
        not missing,
        ", ".join(missing) or "all",
        "keep florin run going: its worker makes them",
    )
    disabled = facts["without_triggers"] or []
    yield Finding(
        "append-only and audited tables have their triggers",
        not disabled,
        ", ".join(disabled) or "all",
        "somebody has disabled them: ALTER TABLE ... ENABLE TRIGGER ALL, and ask who",
    )
    yield Finding(
        "changes of the schema are recorded",
        facts["schema_triggers"] == 2,  # noqa: PLR2004
        "on" if facts["schema_triggers"] == 2 else "off",  # noqa: PLR2004
        "let a superuser run what florin audit schema --print-sql prints",
    )
    skew_s = abs((facts["database_time"] - now()).total_seconds())
    yield Finding(
        "clocks agree", skew_s < _MAX_CLOCK_SKEW_S, f"{skew_s:.2f} s apart", "synchronise both with NTP"
    )


def lines(settings: Settings) -> Iterator[Finding]:
    """What goes over a network: to the database, and from clients."""
    for name, url in (
        ("FLORIN_DATABASE_URL", settings.database_url),
        ("FLORIN_APP_DATABASE_URL", settings.app_database_url),
    ):
        if url is not None:
            told = conninfo_to_dict(url.get_secret_value())
            mode = str(told.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer")
            yield Finding(
                f"{name} proves who answers",
                mode == "verify-full" or not _is_remote(told),
                f"sslmode={mode}" if _is_remote(told) else "this machine",
                "add sslmode=verify-full and sslrootcert=... (PCI DSS 4.2.1)",
            )
    if settings.tls_certificate is not None and settings.tls_key is not None:
        try:
            open_tls(settings)
            ends = x509.load_pem_x509_certificate(settings.tls_certificate.read_bytes()).not_valid_after_utc
        except (BadTls, OSError, ValueError) as error:
            yield Finding("TLS can be spoken", holds=False, seen=str(error), advice="the API will not start")
        else:
            yield Finding(
                "the certificate lasts",
                ends - now() > _CERTIFICATE_LASTS,
                f"until {ends:%Y-%m-%d}",
                "renew it: the files are taken up while Florin runs",
            )


def _is_remote(told: Mapping[str, object]) -> bool:
    hosts = str(told.get("hostaddr") or told.get("host") or os.environ.get("PGHOST") or "").split(",")
    return not all(host.startswith(("/", "@")) or host in _LOCAL for host in hosts)


def _machine(settings: Settings) -> Iterator[Finding]:
    data_dir = settings.data_dir
    if data_dir.exists():
        free = shutil.disk_usage(data_dir).free
        yield Finding("room on the disk", free > _MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free")
        for name in _PRIVATE_FILES:
            path = data_dir / name
            if path.exists():
                mode = stat.S_IMODE(path.stat().st_mode)
                yield Finding(f"{name} is private", mode & 0o077 == 0, oct(mode), f"chmod 600 {path}")
    yield Finding("file descriptors", _descriptors() >= 4096, str(_descriptors()), "raise ulimit -n")  # noqa: PLR2004


def _descriptors() -> int:
    return os.sysconf("SC_OPEN_MAX")
