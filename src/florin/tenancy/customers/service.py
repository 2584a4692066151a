"""Use cases of customers. Personal fields are sealed before they are written; keys are had beforehand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from florin.kernel.clock import now
from florin.kernel.db import Connection
from florin.kernel.ids import new_id
from florin.kernel.vault import Person, TenantKeys
from florin.tenancy.customers import store
from florin.tenancy.customers.model import BankAccount, Customer, CustomerRow
from florin.tenancy.customers.sealing import FIELDS, Wanted, checked, opened, sealed
from florin.tenancy.customers.store import Units
from florin.tenancy.errors import CustomerErased, CustomerNotFound
from florin.tenancy.service import Tenancy
from florin.tenancy.store import refusing

_AT_A_TIME: Final = 200


async def create_customer(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    partner_id: UUID | None,
    business_unit_id: UUID | None,
    reference: str,
    name: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    account: BankAccount | None = None,
    metadata: Mapping[str, str],
) -> Customer:
    """A new customer of a partner, or of the tenant itself.

    Raises:
        ReferenceTaken: the same partner (or the tenant) has a customer of this reference.
        UnknownReference: no such business unit or partner.
        InvalidRequest: address, telephone or account number is none.
    """
    at = now()
    personal = checked({"name": name, "email": email, "phone": phone, "account": account})
    row = CustomerRow.bare(new_id(), partner_id, business_unit_id, reference, dict(metadata), at)
    keys = await tenancy.vault.of(tenant_id)
    with refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            columns: dict[str, Any] = {}
            if any(value is not None for value in personal.values()):
                person = await tenancy.vault.new_person(connection, tenant_id, "customer")
                columns = {"person_id": person.id, **sealed(keys, person, personal)}
            await store.insert_customer(connection, tenant_id, row, columns)
    return replace(opened(row, None), person_id=columns.get("person_id"), **personal)


async def check_customer(
    tenancy: Tenancy, tenant_id: int, customer_id: UUID, partner_id: UUID | None
) -> None:
    """For those who only name a customer: opens nothing. Raises CustomerNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        if not await store.customer_exists(connection, tenant_id, customer_id, partner_id):
            raise CustomerNotFound


async def get_customer(
    tenancy: Tenancy, tenant_id: int, customer_id: UUID, partner_id: UUID | None, units: Units = None
) -> Customer:
    """One customer; with `partner_id`, only that partner's. Raises CustomerNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        row = await store.customer(connection, tenant_id, customer_id, partner_id, units)
        if row is None:
            raise CustomerNotFound
        return (await _opened(tenancy, connection, tenant_id, [row]))[0]


async def list_customers(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    partner_id: UUID | None = None,
    units: Units = None,
    business_unit_id: UUID | None = None,
    reference: str | None = None,
    after: UUID | None = None,
    count: int,
) -> list[Customer]:
    """Up to `count` customers, newest first: a partner's, a unit's, or of one reference."""
    async with tenancy.database.tenant(tenant_id) as connection:
        rows = await store.customers(
            connection,
            tenant_id,
            partner_id=partner_id,
            units=units,
            business_unit_id=business_unit_id,
            reference=reference,
            after=after,
            count=count,
        )
        return await _opened(tenancy, connection, tenant_id, rows)


async def find_customers(
    tenancy: Tenancy,
    tenant_id: int,
    wanted: Wanted,
    *,
    partner_id: UUID | None = None,
    units: Units = None,
    after: UUID | None = None,
    count: int,
) -> list[Customer]:
    """Up to `count` customers of one address or number, newest first, by its blind index."""
    keys = await tenancy.vault.of(tenant_id)
    async with tenancy.database.tenant(tenant_id) as connection:
        rows = await store.customers_by(
            connection,
            tenant_id,
            wanted.kind,
            keys.blind(wanted.kind, wanted.value),
            partner_id=partner_id,
            units=units,
            after=after,
            count=count,
        )
        return await _opened(tenancy, connection, tenant_id, rows)


async def change_customer(
    tenancy: Tenancy,
    tenant_id: int,
    customer_id: UUID,
    partner_id: UUID | None,
    changes: Mapping[str, Any],
    units: Units = None,
) -> Customer:
    """Changes a customer, or empties a personal field with None; the row is locked.

    Raises:
        CustomerNotFound: no such customer, or another partner's.
        CustomerErased: what is erased is not filled again.
        ReferenceTaken, UnknownReference, InvalidRequest: as in `create_customer`.
    """
    at = now()
    changes = checked(changes)
    personal = {name: changes[name] for name in FIELDS if name in changes}
    plain = {name: value for name, value in changes.items() if name not in FIELDS}
    keys = await tenancy.vault.of(tenant_id)
    with refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            row = await store.customer(connection, tenant_id, customer_id, partner_id, units, lock=True)
            if row is None:
                raise CustomerNotFound
            if row.erased_at is not None:
                raise CustomerErased
            await store.update_customer(connection, tenant_id, replace(row, **plain), at)
            person_id = row.person_id
            if personal:
                person = await _person_of(tenancy, connection, tenant_id, row)
                person_id = person.id
                columns = {"person_id": person_id, **sealed(keys, person, {**_in_plain(row), **personal})}
                await store.set_personal(connection, tenant_id, [(row.id, columns)])
            before = (await _opened(tenancy, connection, tenant_id, [row]))[0]
    return replace(before, **{**changes, "person_id": person_id, "updated_at": at})


async def count_in_plain(tenancy: Tenancy, tenant_id: int) -> int:
    """How many customers still have something in plain, as earlier versions wrote it."""
    async with tenancy.database.tenant(tenant_id) as connection:
        return await store.count_in_plain(connection, tenant_id)


async def seal_customers(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    at_a_time: int = _AT_A_TIME,
) -> int:
    """Seals what earlier versions wrote in plain, in short transactions; how many customers.

    Safe beside traffic: rows that somebody is changing are passed over, and sealed by that change or by the
    next run. It looks for what is left, so that it may be cut short anywhere.
    """
    keys = await tenancy.vault.of(tenant_id)
    total = await count_in_plain(tenancy, tenant_id)
    done = 0
    while done < total:
        async with tenancy.database.tenant(tenant_id) as connection:
            rows = await store.lock_in_plain(connection, tenant_id, at_a_time)
            await _seal_rows(tenancy, connection, keys, rows)
        done += len(rows)
        on_progress(done, max(total, done))
        if not rows:
            break
    return done


async def _seal_rows(
    tenancy: Tenancy, connection: Connection, keys: TenantKeys, rows: Sequence[CustomerRow]
) -> None:
    vault, tenant_id = tenancy.vault, keys.tenant_id
    known = await vault.people(connection, tenant_id, [one.person_id for one in rows if one.person_id])
    fresh = iter(
        await vault.new_people(connection, tenant_id, "customer", sum(not one.person_id for one in rows))
    )
    changes = []
    for row in rows:
        person = known[row.person_id] if row.person_id else next(fresh)
        changes.append((row.id, {"person_id": person.id, **sealed(keys, person, _in_plain(row))}))
    await store.set_personal(connection, tenant_id, changes)


async def _opened(
    tenancy: Tenancy, connection: Connection, tenant_id: int, rows: Sequence[CustomerRow]
) -> list[Customer]:
    ids = [row.person_id for row in rows if row.person_id is not None]
    people: Mapping[UUID, Person] = await tenancy.vault.people(connection, tenant_id, ids) if ids else {}
    return [opened(row, None if row.person_id is None else people.get(row.person_id)) for row in rows]


async def _person_of(tenancy: Tenancy, connection: Connection, tenant_id: int, row: CustomerRow) -> Person:
    if row.person_id is None:
        return await tenancy.vault.new_person(connection, tenant_id, "customer")
    found = await tenancy.vault.people(connection, tenant_id, [row.person_id])
    if row.person_id not in found:
        raise CustomerErased
    return found[row.person_id]


def _in_plain(row: CustomerRow) -> dict[str, Any]:
    """What an earlier version has written."""
    return {name: value for name, value in (("name", row.name), ("email", row.email)) if value is not None}
