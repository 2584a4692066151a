"""The only caller of queries.sql. Every function runs in the caller's transaction."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg import IntegrityError, sql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.kernel.errors import Refusal
from florin.tenancy import errors
from florin.tenancy.model import (
    BusinessUnit,
    BusinessUnitType,
    Metric,
    Partner,
    Setting,
    SettingType,
    Status,
    Tenant,
    TenantDetails,
    TenantStatus,
    TenantType,
    Usage,
)

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")

_BY_CONSTRAINT: Final[Mapping[str, tuple[type[Refusal], str]]] = {
    "registry_code_live_key": (errors.TenantCodeTaken, "code"),
    "tenants_currency_fkey": (errors.UnknownReference, "currency"),
    "business_units_depth": (errors.TreeTooDeep, "parent_id"),
    "partners_email_key": (errors.EmailTaken, "email"),
    "customers_reference_key": (errors.ReferenceTaken, "reference"),
    "customers_partner_fkey": (errors.UnknownReference, "partner_id"),
    "customers_business_unit_fkey": (errors.UnknownReference, "business_unit_id"),
    "configuration_instant_key": (errors.SettingExists, "effective_from"),
    "configuration_business_unit_fkey": (errors.UnknownReference, "business_unit_id"),
}


@contextmanager
def refusing() -> Iterator[None]:
    """Turns a broken constraint into the refusal that it stands for. Citus adds a number to the name."""
    try:
        yield
    except IntegrityError as error:
        name = re.sub(r"_\d+$", "", error.diag.constraint_name or "")
        if name not in _BY_CONSTRAINT:
            raise
        refusal, param = _BY_CONSTRAINT[name]
        raise refusal(param=param) from None


async def register(connection: Connection, code: str, *, live: bool) -> int:
    """The id of a new twin. Needs no tenant's context."""
    row = await _queries.register(connection, code=code, live=live)
    return int(row[0])


async def registry(connection: Connection, code: str | None = None) -> list[tuple[int, str, bool]]:
    """Tenant id, code and whether live; of all tenants or of one code's twins."""
    return [tuple(row) async for row in _queries.registry(connection, code=code)]


async def registered(connection: Connection, after: str | None, count: int) -> list[str]:
    """Codes of tenants in their order, `after` one of them."""
    return [row[0] async for row in _queries.registered(connection, after=after, count=count)]


async def check_currency(connection: Connection, currency: str) -> None:
    """Raises UnknownReference unless money can be kept in this currency."""
    if not await _queries.keeps_money(connection, currency=currency):
        raise errors.UnknownReference(
            f"{currency} is not a currency of ISO 4217 with a minor unit", param="currency"
        )


async def insert_tenant(
    connection: Connection, tenant_id: int, status: TenantStatus, details: TenantDetails, now: datetime
) -> None:
    """Writes a new twin's details."""
    await _queries.insert_tenant(
        connection, tenant_id=tenant_id, status=status, details=Jsonb(asdict(details)), now=now
    )


async def tenant(connection: Connection, tenant_id: int) -> Tenant | None:
    """A twin with its details."""
    row = await _queries.tenant(connection, tenant_id=tenant_id)
    if row is None:
        return None
    tenant_id, code, live, name, type_, status, *rest = row
    return Tenant(tenant_id, code, live, name, TenantType(type_), TenantStatus(status), *rest)


async def lock_tenant(connection: Connection, tenant_id: int) -> None:
    """Until the transaction ends, nobody else changes the tenant or its tree of units."""
    await _queries.lock_tenant(connection, tenant_id=tenant_id)


async def update_tenant(
    connection: Connection, tenant_id: int, changes: Mapping[str, Any], now: datetime
) -> None:
    """Changes the named details."""
    await _queries.update_tenant(connection, tenant_id=tenant_id, changes=Jsonb(dict(changes)), now=now)


def _unit(row: Sequence[Any]) -> BusinessUnit:
    return BusinessUnit(row[0], row[1], BusinessUnitType(row[2]), Status(row[3]), *row[4:])


async def insert_business_unit(connection: Connection, tenant_id: int, unit: BusinessUnit) -> None:
    """Writes a new unit."""
    await _queries.insert_business_unit(
        connection,
        tenant_id=tenant_id,
        id=unit.id,
        name=unit.name,
        type=unit.type,
        status=unit.status,
        parent_id=unit.parent_id,
        level=unit.level,
        now=unit.created_at,
    )


async def business_unit(connection: Connection, tenant_id: int, unit_id: UUID) -> BusinessUnit | None:
    """One unit."""
    row = await _queries.business_unit(connection, tenant_id=tenant_id, id=unit_id)
    return None if row is None else _unit(row)


async def business_units(
    connection: Connection,
    tenant_id: int,
    *,
    parent_id: UUID | None,
    only: frozenset[UUID] | None,
    status: Status | None,
    after: UUID | None,
    count: int,
) -> list[BusinessUnit]:
    """Units, newest first; `only`: of these."""
    rows = _queries.business_units(
        connection,
        tenant_id=tenant_id,
        parent_id=parent_id,
        only=_listed(only),
        status=status,
        after=after,
        count=count,
    )
    return [_unit(row) async for row in rows]


async def subtree(connection: Connection, tenant_id: int, unit_id: UUID) -> dict[UUID, int]:
    """A unit and all below it, with their levels."""
    rows = _queries.subtree(connection, tenant_id=tenant_id, id=unit_id)
    return {row[0]: row[1] async for row in rows}


async def update_business_unit(
    connection: Connection, tenant_id: int, unit: BusinessUnit, now: datetime
) -> None:
    """Name, type and status of a unit."""
    await _queries.update_business_unit(
        connection,
        tenant_id=tenant_id,
        id=unit.id,
        name=unit.name,
        type=unit.type,
        status=unit.status,
        now=now,
    )


async def move_subtree(
    connection: Connection,
    tenant_id: int,
    unit_id: UUID,
    parent_id: UUID | None,
    ids: Sequence[UUID],
    by: int,
    now: datetime,
) -> None:
    """Hangs a unit with everything below it (`ids`) under another parent, `by` levels deeper."""
    await _queries.move_subtree(
        connection, tenant_id=tenant_id, id=unit_id, parent_id=parent_id, ids=list(ids), by=by, now=now
    )


def _partner(row: Sequence[Any]) -> Partner:
    partner_id, name, email, status, *rest = row
    return Partner(partner_id, name, email, Status(status), *rest)


async def insert_partner(connection: Connection, tenant_id: int, partner: Partner) -> None:
    """Writes a new partner."""
    await _queries.insert_partner(connection, tenant_id=tenant_id, now=partner.created_at, **_values(partner))


async def partner(connection: Connection, tenant_id: int, partner_id: UUID) -> Partner | None:
    """One partner, deleted or not."""
    row = await _queries.partner(connection, tenant_id=tenant_id, id=partner_id)
    return None if row is None else _partner(row)


async def lock_partner(connection: Connection, tenant_id: int, partner_id: UUID) -> Partner | None:
    """One partner that is not deleted, locked."""
    row = await _queries.lock_partner(connection, tenant_id=tenant_id, id=partner_id)
    return None if row is None else _partner(row)


async def partners(
    connection: Connection,
    tenant_id: int,
    *,
    only: UUID | None,
    status: Status | None,
    after: UUID | None,
    count: int,
) -> list[Partner]:
    """Partners that are not deleted, newest first; `only`: the one that asks."""
    rows = _queries.partners(
        connection, tenant_id=tenant_id, id=only, status=status, after=after, count=count
    )
    return [_partner(row) async for row in rows]


async def update_partner(connection: Connection, tenant_id: int, partner: Partner, now: datetime) -> None:
    """Writes a locked partner back."""
    await _queries.update_partner(connection, tenant_id=tenant_id, now=now, **_values(partner))


async def insert_setting(connection: Connection, tenant_id: int, id: UUID, setting: Setting) -> None:
    """Writes a value from an instant on."""
    await _queries.insert_setting(
        connection,
        tenant_id=tenant_id,
        id=id,
        business_unit_id=setting.business_unit_id,
        key=setting.key,
        effective_from=setting.effective_from,
        type=setting.type,
        value=None if setting.value is None else Jsonb(setting.value),
        sealed=setting.sealed,
        now=setting.created_at,
        created_by=setting.created_by,
    )


async def settings_in_force(
    connection: Connection,
    tenant_id: int,
    *,
    business_unit_id: UUID | None,
    key: str | None,
    at: datetime,
    after: str | None,
    count: int,
) -> list[Setting]:
    """Per key, in order of keys, the value that holds at an instant for a unit or for the tenant."""
    rows = _queries.settings_in_force(
        connection,
        tenant_id=tenant_id,
        business_unit_id=business_unit_id,
        key=key,
        at=at,
        after=after,
        count=count,
    )
    return [Setting(row[0], row[1], SettingType(row[2]), *row[3:]) async for row in rows]


async def add_usage(
    connection: Connection, tenant_id: int, amounts: Mapping[tuple[date, Metric], int]
) -> None:
    """Adds to a tenant's daily counters."""
    await _queries.add_usage(
        connection,
        tenant_id=tenant_id,
        days=[day for day, _ in amounts],
        metrics=[metric.value for _, metric in amounts],
        amounts=list(amounts.values()),
    )


async def set_usage(connection: Connection, tenant_id: int, usage: Usage) -> None:
    """Overwrites a measured value."""
    await _queries.set_usage(
        connection, tenant_id=tenant_id, day=usage.day, metric=usage.metric, amount=usage.value
    )


async def usage(
    connection: Connection, tenant_id: int, first: date, last: date, metric: Metric | None
) -> list[Usage]:
    """Daily values, oldest first; both days are included."""
    rows = _queries.usage(connection, tenant_id=tenant_id, first=first, last=last, metric=metric)
    return [Usage(day, Metric(name), value) async for day, name, value in rows]


async def tenant_tables(connection: Connection) -> list[tuple[str, str, int, int]]:
    """Tables with tenants' rows: schema, name, bytes on disk and rows of all tenants together."""
    return [tuple(row) async for row in _queries.tenant_tables(connection)]


async def estimated_rows(connection: Connection, tenant_id: int, schema: str, table: str) -> int:
    """How many of a table's rows are this tenant's, as the planner sees it. Reads no row."""
    cursor = await connection.execute(
        sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} WHERE tenant_id = {}").format(
            sql.Identifier(schema, table), sql.Literal(tenant_id)
        )
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0][0]["Plan"]["Plan Rows"])


async def count_made_on(
    connection: Connection, tenant_id: int, schema: str, table: str, first: datetime, end: datetime
) -> int:
    """How many rows of a table were made between two instants, by the time in their UUIDv7."""
    cursor = await connection.execute(
        sql.SQL(
            "SELECT count(*) FROM {} WHERE tenant_id = %s"
            " AND id >= kernel.uuid_floor(%s) AND id < kernel.uuid_floor(%s)"
        ).format(sql.Identifier(schema, table)),
        (tenant_id, first, end),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def _listed(units: frozenset[UUID] | None) -> list[UUID] | None:
    return None if units is None else list(units)


def _values(row: Partner) -> dict[str, Any]:
    """Parameters for a row, its metadata as jsonb."""
    return {
        name: Jsonb(value) if name == "metadata" else value
        for name, value in asdict(row).items()
        if name not in ("created_at", "updated_at")
    }
