"""Tenants, business units, partners and customers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance, acting_as
from florin.tenancy.customers.service import change_customer, create_customer, get_customer
from florin.tenancy.errors import (
    BusinessUnitNotFound,
    CustomerNotFound,
    EmailTaken,
    ParentBelowUnit,
    PartnerNotFound,
    ReferenceTaken,
    TenantCodeTaken,
    TenantNotFound,
    TreeTooDeep,
    UnknownReference,
)
from florin.tenancy.model import BusinessUnitType, Partner, Tenant, TenantStatus
from florin.tenancy.service import (
    Tenancy,
    change_business_unit,
    change_partner,
    change_tenant,
    create_business_unit,
    create_partner,
    create_tenant,
    delete_partner,
    get_business_unit,
    get_partner,
    get_tenant,
    list_business_units,
    list_partners,
    list_tenants,
    set_status,
)

from .conftest import DETAILS, Urls

Twins = tuple[Tenant, Tenant]


async def unit(tenancy: Tenancy, tenant_id: int, parent_id: UUID | None = None) -> UUID:
    made = await create_business_unit(
        tenancy, tenant_id, name="u", type=BusinessUnitType.RETAIL, parent_id=parent_id
    )
    return made.id


async def customer(tenancy: Tenancy, tenant_id: int, reference: str, partner_id: UUID | None) -> UUID:
    made = await create_customer(
        tenancy,
        tenant_id,
        partner_id=partner_id,
        business_unit_id=None,
        reference=reference,
        name="Ada",
        email="ada@example.org",
        metadata={},
    )
    return made.id


async def test_a_tenant_is_made_with_its_twin(tenancy: Tenancy) -> None:
    live, test = await create_tenant(tenancy, "ACME", DETAILS, status=TenantStatus.PENDING_APPROVAL)
    assert (live.code, live.live, live.status) == ("ACME", True, TenantStatus.PENDING_APPROVAL)
    assert (test.code, test.live, test.status) == ("ACME", False, TenantStatus.ACTIVE)
    assert live.tenant_id != test.tenant_id
    assert replace(test, tenant_id=live.tenant_id, live=True, status=live.status) == live
    assert await get_tenant(tenancy, live.tenant_id) == live


async def test_a_tenant_whose_code_is_taken_or_malformed_is_not_made_at_all(tenancy: Tenancy) -> None:
    await create_tenant(tenancy, "TAKEN", DETAILS)
    with pytest.raises(TenantCodeTaken):
        await create_tenant(tenancy, "TAKEN", DETAILS)
    for code in ("lower", "X", "A" * 21, "1ST", "A B", "AB\n"):
        with pytest.raises(InvalidRequest):
            await create_tenant(tenancy, code, DETAILS)
    with pytest.raises(UnknownReference):
        await create_tenant(tenancy, "ODD", replace(DETAILS, currency="ZZZ"))
    assert await list_tenants(tenancy, "ODD") == []
    assert len(await list_tenants(tenancy, "TAKEN")) == 2


async def test_all_tenants_are_listed_each_from_its_own_context(tenancy: Tenancy, twins: Twins) -> None:
    listed = await list_tenants(tenancy)
    assert set(twins) <= set(listed)
    assert await list_tenants(tenancy, twins[0].code) == list(twins)


async def test_details_change_for_one_twin_and_can_be_emptied(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    changed = await change_tenant(tenancy, tenant_id, {"city": "Durban", "country": "NA"})
    assert (changed.city, changed.country, changed.name) == ("Durban", "NA", "Demo Bank")
    assert (await change_tenant(tenancy, tenant_id, {"city": None})).city is None
    assert await get_tenant(tenancy, twins[1].tenant_id) == twins[1]
    with pytest.raises(UnknownReference):
        await change_tenant(tenancy, tenant_id, {"currency": "ZZZ"})


async def test_the_operator_suspends_both_twins_or_one(tenancy: Tenancy, twins: Twins) -> None:
    code = twins[0].code
    both = await set_status(tenancy, code, TenantStatus.SUSPENDED)
    assert [twin.status for twin in both] == [TenantStatus.SUSPENDED] * 2
    (test,) = await set_status(tenancy, code, TenantStatus.ACTIVE, live=False)
    assert (test.live, test.status) == (False, TenantStatus.ACTIVE)
    assert (await get_tenant(tenancy, twins[0].tenant_id)).status is TenantStatus.SUSPENDED
    with pytest.raises(TenantNotFound):
        await set_status(tenancy, "NOBODY", TenantStatus.ACTIVE)


async def test_units_stand_one_level_below_their_parents(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    parent = await unit(tenancy, tenant_id)
    for level in range(2, 11):
        parent = await unit(tenancy, tenant_id, parent)
        assert (await get_business_unit(tenancy, tenant_id, parent)).level == level
    with pytest.raises(TreeTooDeep):
        await unit(tenancy, tenant_id, parent)
    with pytest.raises(UnknownReference):
        await unit(tenancy, tenant_id, new_id())
    with pytest.raises(BusinessUnitNotFound):
        await get_business_unit(tenancy, twins[1].tenant_id, parent)


async def test_a_unit_moves_with_all_below_it(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    top, other = await unit(tenancy, tenant_id), await unit(tenancy, tenant_id)
    middle = await unit(tenancy, tenant_id, top)
    leaf = await unit(tenancy, tenant_id, middle)

    async def levels() -> list[int]:
        return [(await get_business_unit(tenancy, tenant_id, u)).level for u in (top, other, middle, leaf)]

    moved = await change_business_unit(tenancy, tenant_id, top, {"parent_id": other, "name": "moved"})
    assert (moved.parent_id, moved.level, moved.name) == (other, 2, "moved")
    assert await levels() == [2, 1, 3, 4]
    await change_business_unit(tenancy, tenant_id, middle, {"parent_id": None})
    assert await levels() == [2, 1, 1, 2]
    below = await list_business_units(tenancy, tenant_id, parent_id=middle, count=10)
    assert [u.id for u in below] == [leaf]


async def test_a_unit_cannot_be_moved_below_itself_or_too_deep(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    chain = [await unit(tenancy, tenant_id)]
    for _ in range(8):
        chain.append(await unit(tenancy, tenant_id, chain[-1]))
    for parent_id in (chain[0], chain[1], chain[-1]):
        with pytest.raises(ParentBelowUnit):
            await change_business_unit(tenancy, tenant_id, chain[0], {"parent_id": parent_id})
    deep = await unit(tenancy, tenant_id, await unit(tenancy, tenant_id))
    with pytest.raises(TreeTooDeep):
        await change_business_unit(tenancy, tenant_id, chain[0], {"parent_id": deep})
    assert (await get_business_unit(tenancy, tenant_id, chain[-1])).level == 9


async def test_two_moves_at_once_cannot_make_a_ring(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    for _ in range(5):
        one, two = await unit(tenancy, tenant_id), await unit(tenancy, tenant_id)
        outcomes = await asyncio.gather(
            change_business_unit(tenancy, tenant_id, one, {"parent_id": two}),
            change_business_unit(tenancy, tenant_id, two, {"parent_id": one}),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, ParentBelowUnit) for outcome in outcomes) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
async def test_the_database_itself_refuses_rings(
    database_urls: Urls, twins: Twins, moves: list[tuple[int, int]]
) -> None:
    """Whatever parents and levels are written, a row that closes a ring never passes the keys."""
    with psycopg.connect(database_urls.root) as root:
        root.execute("SELECT set_config('app.tenant_id', %s, false)", (str(twins[0].tenant_id),))
        ids = [new_id() for _ in range(5)]
        for unit_id in ids:
            root.execute(
                "INSERT INTO tenancy.business_units VALUES (%s, %s, 'u', 'RETAIL', 'ACTIVE', NULL, 1,"
                " DEFAULT, now(), now())",
                (twins[0].tenant_id, unit_id),
            )
        parents: dict[UUID, UUID] = {}
        for child, parent in moves:
            try:
                with root.transaction():
                    root.execute(
                        "UPDATE tenancy.business_units u SET parent_id = p.id, level = p.level + 1"
                        " FROM tenancy.business_units p WHERE u.id = %s AND p.id = %s",
                        (ids[child], ids[parent]),
                    )
            except psycopg.IntegrityError:
                continue
            parents[ids[child]] = ids[parent]
        for unit_id in ids:
            seen = {unit_id}
            at = unit_id
            while at in parents:
                at = parents[at]
                assert at not in seen
                seen.add(at)
        root.rollback()


async def test_an_email_is_one_partners_whatever_its_case_until_it_is_deleted(
    tenancy: Tenancy, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    first = await create_partner(tenancy, tenant_id, name="A", email="Pay@Shop.example")
    assert first.email == "pay@shop.example"
    with pytest.raises(EmailTaken):
        await create_partner(tenancy, tenant_id, name="B", email="PAY@shop.example")
    await create_partner(tenancy, twins[1].tenant_id, name="B", email="pay@shop.example")
    await delete_partner(tenancy, tenant_id, first.id)
    second = await create_partner(tenancy, tenant_id, name="B", email="pay@shop.example")
    assert [p.id for p in await list_partners(tenancy, tenant_id, count=9)] == [second.id]


async def test_a_deleted_partner_is_gone_for_the_api_and_kept_for_the_books(
    tenancy: Tenancy, twins: Twins, partner: Partner, database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    await delete_partner(tenancy, tenant_id, partner.id)
    with pytest.raises(PartnerNotFound):
        await get_partner(tenancy, tenant_id, partner.id)
    with pytest.raises(PartnerNotFound):
        await change_partner(tenancy, tenant_id, partner.id, {"name": "x"})
    with pytest.raises(PartnerNotFound):
        await delete_partner(tenancy, tenant_id, partner.id)
    with psycopg.connect(database_urls.root) as root:
        row = root.execute("SELECT status FROM tenancy.partners WHERE id = %s", (partner.id,)).fetchone()
    assert row == ("INACTIVE",)


async def test_a_reference_is_one_customers_per_partner_and_once_for_the_tenant(
    tenancy: Tenancy, twins: Twins, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    for owner in (None, partner.id):
        await customer(tenancy, tenant_id, "C-1", owner)
        with pytest.raises(ReferenceTaken):
            await customer(tenancy, tenant_id, "C-1", owner)
    with pytest.raises(UnknownReference):
        await customer(tenancy, twins[1].tenant_id, "C-1", partner.id)


async def test_personal_fields_of_a_customer_can_be_emptied(
    tenancy: Tenancy, twins: Twins, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    made = await customer(tenancy, tenant_id, "C-2", partner.id)
    await change_customer(tenancy, tenant_id, made, partner.id, {"name": None, "email": None})
    found = await get_customer(tenancy, tenant_id, made, None)
    assert (found.name, found.email, found.reference) == (None, None, "C-2")


async def test_a_partner_sees_no_customer_of_another(
    tenancy: Tenancy,
    twins: Twins,
    partner: Partner,
    new_tenant: Callable[[], Awaitable[Twins]],
) -> None:
    tenant_id = twins[0].tenant_id
    own = await customer(tenancy, tenant_id, "C-3", partner.id)
    for asking_tenant, asking_partner in (
        (tenant_id, new_id()),
        ((await new_tenant())[0].tenant_id, partner.id),
    ):
        with pytest.raises(CustomerNotFound):
            await get_customer(tenancy, asking_tenant, own, asking_partner)
        with pytest.raises(CustomerNotFound):
            await change_customer(tenancy, asking_tenant, own, asking_partner, {"name": None})


async def test_the_operators_word_is_put_down_to_him(tenancy: Tenancy, database_urls: Urls) -> None:
    with acting_as(lambda: Provenance("cli:ada")):
        twins = await create_tenant(tenancy, "AUDITED", DETAILS)
        await set_status(tenancy, "AUDITED", TenantStatus.SUSPENDED)
    with psycopg.connect(database_urls.root) as root:
        for twin in twins:
            rows = root.execute(
                "SELECT actor, action FROM audit.log WHERE tenant_id = %s ORDER BY seq", (twin.tenant_id,)
            ).fetchall()
            assert rows == [("cli:ada", "created"), ("cli:ada", "changed")]
