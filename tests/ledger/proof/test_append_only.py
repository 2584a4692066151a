"""One value altered in any column of any append-only row: verification finds it.

What the log says in words (descriptions, metadata, correlations) has no second copy: seals find that.
"""

from datetime import timedelta
from typing import Final

import psycopg
import pytest
from psycopg.errors import CheckViolation, UniqueViolation

from florin.ledger.model import HoldAction
from tests.conftest import AllDatabaseUrls
from tests.ledger.proof.conftest import History, Tamper, verified

ALTERED: Final = {
    "integer": "{column} + 1",
    "bigint": "{column} + 1",
    "text": "{column} || '.'",
    "bytea": "set_byte({column}, 0, 255 - get_byte({column}, 0))",
    "uuid": "(left({column}::text, 35) ||"
    " CASE right({column}::text, 1) WHEN '0' THEN '1' ELSE '0' END)::uuid",
    "jsonb": "'{{}}'",
    "timestamp with time zone": "{column} + interval '1 us'",
    "bigint[]": "array_append({column}[1 : cardinality({column}) - 1], {column}[cardinality({column})] + 1)",
    "uuid[]": "array_append({column}[1 : cardinality({column}) - 1], {column}[1])",
}

SEALED: Final = frozenset(
    ("description", "metadata", "correlation_id", "causation_id", "template", "exchange")
)
"""Columns of the log that seals answer for."""

TABLES: Final = (
    ("ledger.transfers", ("id", "kind")),
    ("ledger.entries", ("account_id", "seq")),
    ("ledger.reversals", ("transfer_id", "number")),
    ("ledger.period_closings", ("id",)),
    ("ledger.templates", ("version",)),
    ("audit.log", ("seq",)),
)


def columns(url: str, table: str) -> list[tuple[str, str]]:
    """The table's columns and their types."""
    with psycopg.connect(url) as root:
        return root.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (table,),
        ).fetchall()


@pytest.mark.parametrize(("table", "key"), TABLES, ids=[one[0] for one in TABLES])
async def test_no_value_of_an_append_only_row_can_be_altered_unseen(
    history: History, tamper: Tamper, database_urls: AllDatabaseUrls, table: str, key: tuple[str, ...]
) -> None:
    await history.settle("last_part", "partial", HoldAction.POST, 10)
    tried = 0
    for column, type_ in columns(database_urls.root, table):
        if column in SEALED or (column == "effective_at" and table == "ledger.transfers"):
            continue  # null in ordinary transfers; test_rules.py alters one that is not
        order = ", ".join(key)
        changed = (
            f"WITH old AS (SELECT ctid AS place, tableoid AS part, {column} AS value FROM {table}"
            f" WHERE tenant_id = %(tenant)s AND {column} IS NOT NULL ORDER BY {order} LIMIT 1)"
            f" UPDATE {table} t SET {column} = {ALTERED[type_].format(column='t.' + column)} FROM old"
            " WHERE t.ctid = old.place AND t.tableoid = old.part AND t.tenant_id = %(tenant)s"
        )
        kept = f"CREATE TABLE public.kept AS SELECT * FROM {table} WHERE tenant_id = %(tenant)s"
        tamper(kept, named={"tenant": history.tenant_id})
        try:
            if tamper(changed, named={"tenant": history.tenant_id}) == 0:
                continue
            tried += 1
            assert await verified(history.books, grace=timedelta(0)), f"{table}.{column}"
        except (CheckViolation, UniqueViolation):
            continue  # the database itself refuses it
        finally:
            tamper(
                f"DELETE FROM {table} WHERE tenant_id IN (%(tenant)s, %(tenant)s + 1)",
                named={"tenant": history.tenant_id},
            )
            tamper(f"INSERT INTO {table} SELECT * FROM public.kept")
            tamper("DROP TABLE public.kept")
    assert tried >= 3
    assert await verified(history.books) == []
