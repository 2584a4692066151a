"""The only caller of queries.sql. Every function runs in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg import sql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.tenancy.customers.model import CustomerRow, Personal

_queries: Final[Any] = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

Units = Collection[UUID] | None
"""The business units that whoever asks is confined to; None: none in particular."""


async def insert_customer(
    connection: Connection, tenant_id: int, row: CustomerRow, personal: Mapping[str, Any]
) -> None:
    """Writes a new customer with these personal columns."""
    await _queries.insert_customer(
        connection,
        tenant_id=tenant_id,
        id=row.id,
        partner_id=row.partner_id,
        business_unit_id=row.business_unit_id,
        reference=row.reference,
        metadata=Jsonb(row.metadata),
        now=row.created_at,
        **{**dict.fromkeys(Personal.__slots__), **personal},
    )


async def customer_exists(
    connection: Connection, tenant_id: int, customer_id: UUID, partner_id: UUID | None
) -> bool:
    """Whether there is such a customer; with `partner_id`, of that partner."""
    return bool(
        await _queries.customer_exists(connection, tenant_id=tenant_id, id=customer_id, partner_id=partner_id)
    )


async def customer(
    connection: Connection,
    tenant_id: int,
    customer_id: UUID,
    partner_id: UUID | None,
    units: Units,
    *,
    lock: bool = False,
) -> CustomerRow | None:
    """One customer; with `partner_id`, only that partner's."""
    query = _queries.lock_customer if lock else _queries.customer
    row = await query(
        connection, tenant_id=tenant_id, id=customer_id, partner_id=partner_id, units=_list(units)
    )
    return None if row is None else CustomerRow(*row)


async def customers(
    connection: Connection,
    tenant_id: int,
    *,
    partner_id: UUID | None,
    units: Units,
    business_unit_id: UUID | None,
    reference: str | None,
    after: UUID | None,
    count: int,
) -> list[CustomerRow]:
    """Customers, newest first."""
    rows = _queries.customers(
        connection,
        tenant_id=tenant_id,
        partner_id=partner_id,
        units=_list(units),
        business_unit_id=business_unit_id,
        reference=reference,
        after=after,
        count=count,
    )
    return [CustomerRow(*row) async for row in rows]


async def customers_by(
    connection: Connection,
    tenant_id: int,
    kind: str,
    index: bytes,
    *,
    partner_id: UUID | None,
    units: Units,
    after: UUID | None,
    count: int,
) -> list[CustomerRow]:
    """Customers whose "email", "phone" or "account" has this blind index, newest first."""
    rows = getattr(_queries, f"customers_by_{kind}")(
        connection,
        tenant_id=tenant_id,
        index=index,
        partner_id=partner_id,
        units=_list(units),
        after=after,
        count=count,
    )
    return [CustomerRow(*row) async for row in rows]


async def update_customer(connection: Connection, tenant_id: int, row: CustomerRow, now: datetime) -> None:
    """Writes what is not personal of a locked customer back."""
    await _queries.update_customer(
        connection,
        tenant_id=tenant_id,
        id=row.id,
        business_unit_id=row.business_unit_id,
        reference=row.reference,
        metadata=Jsonb(row.metadata),
        now=now,
    )


async def set_personal(
    connection: Connection, tenant_id: int, changes: Sequence[tuple[UUID, Mapping[str, Any]]]
) -> None:
    """Writes personal columns of locked customers. What stood in plain is emptied."""
    by_shape: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row_id, columns in changes:
        names = tuple(sorted(columns))
        by_shape.setdefault(names, []).append((*(columns[name] for name in names), tenant_id, row_id))
    async with connection.cursor() as cursor:
        for names, values in by_shape.items():
            statement = sql.SQL(
                "UPDATE tenancy.customers SET name = NULL, email = NULL, {} WHERE tenant_id = %s AND id = %s"
            ).format(sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names))
            await cursor.executemany(statement, values)


async def lock_in_plain(connection: Connection, tenant_id: int, count: int) -> list[CustomerRow]:
    """Customers of whom something stands in plain, locked; those that somebody is changing are left out."""
    rows = _queries.lock_in_plain(connection, tenant_id=tenant_id, count=count)
    return [CustomerRow(*row) async for row in rows]


async def count_in_plain(connection: Connection, tenant_id: int) -> int:
    """How many customers something stands in plain of."""
    return int(await _queries.count_in_plain(connection, tenant_id=tenant_id))


def _list(units: Units) -> list[UUID] | None:
    return None if units is None else list(units)
