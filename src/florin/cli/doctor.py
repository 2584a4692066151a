"""`florin doctor`: looks at what must hold for the books to be safe, and says what does not."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from florin.kernel.clock import now
from florin.kernel.database_urls import DatabaseUrls
from florin.kernel.settings import Settings

_MIN_FREE_BYTES = 2 * 1024**3
_MAX_CLOCK_SKEW_S = 2.0
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
    return [*_database(facts, pending), *_machine(settings)]


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
