"""Reads and writes ciphertexts of the columns that are listed. Names come from that list, values never."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.privacy.reencryption.columns import RingSealed


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A value, where it stands, and what it is bound to."""

    key: tuple[Any, ...]
    bound_to: str
    sealed: bytes


async def by_key(connection: Connection, tenant_id: int | None, column: RingSealed) -> dict[str, int]:
    """How many values each key of the ring has sealed, by its id."""
    statement = sql.SQL(
        "SELECT {key_id}, count(*) FROM {table} WHERE {scope} AND {column} IS NOT NULL GROUP BY 1"
    )
    cursor = await connection.execute(statement.format(**_names(column)), _of(tenant_id))
    return {str(key_id): count for key_id, count in await cursor.fetchall()}


async def count_under(
    connection: Connection, tenant_id: int | None, column: RingSealed, key_ids: Sequence[str]
) -> int:
    """How many values these keys have sealed."""
    statement = sql.SQL("SELECT count(*) FROM {table} WHERE {scope} AND {key_id} = ANY (%s)")
    cursor = await connection.execute(statement.format(**_names(column)), (*_of(tenant_id), list(key_ids)))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def rows_under(
    connection: Connection,
    tenant_id: int | None,
    column: RingSealed,
    key_ids: Sequence[str],
    after: tuple[Any, ...] | None,
    limit: int,
) -> list[SealedRow]:
    """The next values that these keys have sealed, in order of their rows' keys.

    Where the role may change them they are locked, and those that somebody else has locked are left out.
    """
    beyond = sql.SQL("AND ({keys}) > ({after})").format(
        keys=_list(column.key), after=sql.SQL(", ").join([sql.Placeholder()] * len(column.key))
    )
    statement = sql.SQL(
        "SELECT {keys}, {bound}, {column} FROM {table}"
        " WHERE {scope} AND {key_id} = ANY (%s) {beyond} ORDER BY {keys} LIMIT %s {lock}"
    ).format(
        **_names(column),
        keys=_list(column.key),
        bound=_list(column.bound_by),
        beyond=beyond if after is not None else sql.SQL(""),
        lock=sql.SQL("" if column.writer else "FOR NO KEY UPDATE SKIP LOCKED"),
    )
    cursor = await connection.execute(statement, (*_of(tenant_id), list(key_ids), *(after or ()), limit))
    parts = len(column.key)
    return [
        SealedRow(tuple(row[:parts]), column.bound_to(tenant_id, *row[parts:-1]), bytes(row[-1]))
        for row in await cursor.fetchall()
    ]


async def write(
    connection: Connection,
    tenant_id: int | None,
    column: RingSealed,
    changes: Sequence[tuple[SealedRow, bytes]],
) -> int:
    """Puts new ciphertexts in the place of the old ones, where those still stand; how many."""
    if column.writer is not None:
        statement = sql.SQL("SELECT {}(%s, %s, %s, %s)").format(sql.Identifier(*column.writer.split(".")))
        keys = [row.key[0] for row, _ in changes]
        old, new = [row.sealed for row, _ in changes], [value for _, value in changes]
        cursor = await connection.execute(statement, (tenant_id, keys, old, new))
        found = await cursor.fetchone()
        assert found is not None
        return int(found[0])
    statement = sql.SQL(
        "UPDATE {table} SET {column} = %s WHERE {scope} AND {matches} AND {column} = %s"
    ).format(
        **_names(column),
        matches=sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(one)) for one in column.key),
    )
    async with connection.cursor() as writing:
        await writing.executemany(
            statement, [(value, *_of(tenant_id), *row.key, row.sealed) for row, value in changes]
        )
        return writing.rowcount


async def note(
    connection: Connection, tenant_id: int | None, column: RingSealed, key_id: str, rows: int
) -> None:
    """Writes into the audit log that so many values came to be sealed by this key."""
    await connection.execute(
        "SELECT audit.record(%s, 'reencrypted', 'key_ring', %s, NULL, %s)",
        (tenant_id, key_id, Jsonb({"column": column.name, "rows": rows})),
    )


def _names(column: RingSealed) -> dict[str, sql.Composable]:
    sealed = sql.Identifier(column.column)
    return {
        "scope": sql.SQL("tenant_id = %s" if column.of_tenant else "true"),
        "table": sql.Identifier(*column.table.split(".")),
        "column": sealed,
        "key_id": sql.Identifier(column.key_id)
        if column.key_id
        else sql.SQL("kernel.sealed_under({})").format(sealed),
    }


def _of(tenant_id: int | None) -> tuple[int, ...]:
    return () if tenant_id is None else (tenant_id,)


def _list(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))
