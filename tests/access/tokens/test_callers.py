"""Access tokens at the gate: what is remembered of them, and what is felt at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.service import create_key, revoke_key
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import access_claims, end_of_user, refresh
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import new_id
from florin.kernel.notify import Listener
from florin.tenancy.model import BusinessUnitType, Partner, Status, Tenant, TenantStatus
from florin.tenancy.service import (
    Tenancy,
    change_partner,
    create_business_unit,
    create_tenant,
)
from florin.tenancy.service import (
    set_status as set_tenant_status,
)
from tests.access.conftest import CountingDatabase, Urls, bearer
from tests.access.test_callers import eventually, running
from tests.access.tokens_world import Process, new_user, process, set_status
from tests.tenancy.conftest import DETAILS

Twins = tuple[Tenant, Tenant]


async def refused(one: Process, token: str) -> bool:
    try:
        await one.access.authenticate(bearer(token))
    except Unauthenticated:
        return True
    return False


async def test_a_users_token_gives_his_roles_his_session_and_no_more(
    here: Process, twins: Twins, database: Database, tenancy: Tenancy, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    user_id = await new_user(database, tenant_id, ["viewer", "finance"], partner_id=partner.id)
    pair = await here.sign_in(tenant_id, user_id)
    holder = await here.access.authenticate(bearer(pair.access_token))
    assert (holder.kind, holder.id, holder.session_id) == (PrincipalKind.USER, user_id, pair.session_id)
    assert (holder.partner_id, holder.live, holder.platform) == (partner.id, True, False)
    assert {"ledger:write", "payments:read"} <= holder.scopes
    assert "payments:write" not in holder.scopes
    assert holder.name.startswith("user_")
    test_user = await new_user(database, twins[1].tenant_id, ["viewer"])
    test_pair = await here.sign_in(twins[1].tenant_id, test_user)
    assert (await here.access.authenticate(bearer(test_pair.access_token))).live is False


async def test_a_role_in_a_unit_holds_there_and_below_and_nowhere_else(
    here: Process, twins: Twins, database: Database, tenancy: Tenancy
) -> None:
    tenant_id = twins[0].tenant_id
    above = await create_business_unit(
        tenancy, tenant_id, name="South", type=BusinessUnitType.RETAIL, parent_id=None
    )
    below = await create_business_unit(
        tenancy, tenant_id, name="Cape", type=BusinessUnitType.RETAIL, parent_id=above.id
    )
    other = await create_business_unit(
        tenancy, tenant_id, name="North", type=BusinessUnitType.RETAIL, parent_id=None
    )
    user_id = await new_user(database, tenant_id, ["business_unit_admin"], unit_id=above.id)
    pair = await here.sign_in(tenant_id, user_id)
    holder = await here.access.authenticate(bearer(pair.access_token))
    assert holder.scopes == frozenset()
    assert set(holder.unit_scopes) == {above.id, below.id}
    assert other.id not in holder.unit_scopes
    assert "users:write" in holder.unit_scopes[below.id]


async def test_users_of_the_house_and_nobody_else_are_platform(
    here: Process, twins: Twins, database: Database, tenancy: Tenancy
) -> None:
    live, test = await create_tenant(tenancy, "PLATFORM", DETAILS)
    for tenant_id, expected in ((live.tenant_id, True), (test.tenant_id, False), (twins[0].tenant_id, False)):
        user_id = await new_user(database, tenant_id, ["platform_admin" if expected else "tenant_admin"])
        holder = await here.access.authenticate(bearer((await here.sign_in(tenant_id, user_id)).access_token))
        assert holder.platform is expected
        assert ("platform:write" in holder.scopes) is expected


async def test_a_token_is_looked_up_once_however_many_ask_at_once(
    here: Process, counting: CountingDatabase, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    there = process(counting, clock=here.clock)
    await there.keys.published()
    borrowed = counting.borrowed
    found = await asyncio.gather(*(there.access.authenticate(bearer(pair.access_token)) for _ in range(50)))
    assert {holder.id for holder in found} == {user_id}
    assert counting.borrowed == borrowed + 1
    there.clock.at += 299
    await there.access.authenticate(bearer(pair.access_token))
    assert counting.borrowed == borrowed + 1
    there.clock.at += 2
    await there.access.authenticate(bearer(pair.access_token))
    assert counting.borrowed == borrowed + 2


async def test_sessions_of_many_users_are_looked_up_in_groups(
    here: Process, counting: CountingDatabase, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    users = [await new_user(database, tenant_id, ["viewer"]) for _ in range(20)]
    pairs = [await here.sign_in(tenant_id, user_id) for user_id in users * 2]
    there = process(counting, clock=here.clock)
    await there.keys.published()
    borrowed = counting.borrowed
    found = await asyncio.gather(*(there.access.authenticate(bearer(pair.access_token)) for pair in pairs))
    assert [holder.id for holder in found] == users * 2
    assert counting.borrowed - borrowed < 10


async def test_what_changes_in_one_process_is_felt_in_another_at_once(
    database: Database, database_urls: Urls, twins: Twins, user_id: UUID
) -> None:
    tenant_id = twins[0].tenant_id
    listener = Listener(database_urls.app)
    here, there = process(database), process(database, listener=listener)
    first, second = [await here.sign_in(tenant_id, user_id) for _ in range(2)]

    async def may_write() -> bool:
        holder = await there.access.authenticate(bearer(second.access_token))
        return "payments:write" in holder.scopes

    async with running(here.access.notifier, listener):
        await asyncio.sleep(0.3)
        assert not await refused(there, first.access_token)
        assert not await may_write()
        await end_of_user(here.sessions, tenant_id, user_id, EndReason.REVOKED, but=second.session_id)
        assert await eventually(lambda: refused(there, first.access_token))
        async with database.tenant(tenant_id) as connection:
            await connection.execute(
                "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, assigned_at, assigned_by) "
                "VALUES (%s, %s, %s, 'operator', now(), 'test')",
                (tenant_id, new_id(), user_id),
            )
        here.access.changed(tenant_id)
        assert await eventually(may_write)
        await set_status(database, tenant_id, user_id, "SUSPENDED")
        here.access.changed(tenant_id)
        assert await eventually(lambda: refused(there, second.access_token))


async def test_a_role_that_expires_is_not_believed_past_its_end(
    here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    ends = now() + timedelta(seconds=1.2)
    user_id = await new_user(database, tenant_id, ["viewer"], expires_at=ends)
    token = (await here.sign_in(tenant_id, user_id)).access_token
    assert (await here.access.authenticate(bearer(token))).scopes
    await asyncio.sleep(max(0.0, (ends - now()).total_seconds()) + 0.05)
    here.clock.at = now().timestamp()
    assert not (await here.access.authenticate(bearer(token))).scopes


async def test_a_session_that_rests_too_long_is_refused_although_its_token_is_not_over(
    here: Process, twins: Twins, database: Database, user_id: UUID
) -> None:
    tenant_id = twins[0].tenant_id
    admin = await new_user(database, tenant_id, ["tenant_admin"])
    pair = await here.sign_in(tenant_id, admin)
    here.clock.at += 60  # a token that was made later, in another window of the same session
    later = await here.keys.sign(
        access_claims(
            here.sessions, tenant_id, True, admin, pair.session_id, here.sessions.now() + timedelta(days=1)
        )
    )
    assert not await refused(here, later)
    here.clock.at += 14 * 60 - 1
    assert not await refused(here, later)
    here.clock.at += 1
    assert await refused(here, later)


async def test_a_renewal_in_one_process_keeps_the_session_alive_in_another(
    here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    there = process(database, clock=here.clock)
    pair = await here.sign_in(tenant_id, await new_user(database, tenant_id, ["tenant_admin"]))
    for _ in range(4):
        here.clock.at += 10 * 60
        pair = await refresh(here.sessions, pair.refresh_token)
        assert not await refused(there, pair.access_token)
        here.clock.at += 4 * 60
        assert not await refused(there, pair.access_token)


async def test_a_token_is_over_after_fifteen_minutes_although_it_is_remembered(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    here.clock.at += 890
    assert not await refused(here, pair.access_token)
    here.clock.at += 11
    assert await refused(here, pair.access_token)


async def test_a_session_of_another_tenant_or_another_user_is_nobodys(
    here: Process, twins: Twins, database: Database, user_id: UUID
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, user_id)
    right = access_claims(
        here.sessions, tenant_id, True, user_id, pair.session_id, here.sessions.now() + timedelta(days=1)
    )
    assert not await refused(here, await here.keys.sign(right))
    for wrong in (
        replace(right, tenant_id=twins[1].tenant_id),  # signed by us: what if it ever were?
        replace(right, subject=await new_user(database, tenant_id, ["tenant_admin"])),
        replace(right, session_id=new_id()),
        replace(right, tenant_id=2_000_000_000),
    ):
        assert await refused(here, await here.keys.sign(wrong))


async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    await end_of_user(here.sessions, twins[0].tenant_id, user_id, EndReason.REVOKED)
    answers = []
    for token in (
        pair.access_token,
        "a.b.c",
        ".",
        "\xff.\xff",
        "x" * 5000 + ".",
        pair.access_token[:-4] + "AAAA",
    ):
        with pytest.raises(Unauthenticated) as error:
            await here.access.authenticate({b"authorization": b"Bearer " + token.encode("latin-1")})
        answers.append((error.value.code, error.value.detail, error.value.headers))
    assert answers == [answers[0]] * 6


async def test_a_forged_token_costs_no_look_up_and_fills_no_memory(
    here: Process, counting: CountingDatabase, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    there = process(counting, clock=here.clock)
    await there.keys.published()
    borrowed = counting.borrowed
    head, payload, _ = pair.access_token.split(".")
    for n in range(100):
        assert await refused(there, f"{head}.{payload}.{n:086d}")
    assert counting.borrowed == borrowed
    assert not there.callers._memory.known
    assert not there.callers._memory.unknown
    assert not there.callers._memory.flying


async def test_a_tenant_or_partner_that_may_not_call_is_told_so(
    here: Process, twins: Twins, database: Database, tenancy: Tenancy, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, await new_user(database, tenant_id, partner_id=partner.id))
    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.SUSPENDED})
    here.access.changed(tenant_id)
    with pytest.raises(PartnerNotActive):
        await here.access.authenticate(bearer(pair.access_token))
    await set_tenant_status(tenancy, twins[0].code, TenantStatus.SUSPENDED, live=True)
    here.access.changed(tenant_id)
    with pytest.raises(TenantNotActive):
        await here.access.authenticate(bearer(pair.access_token))


async def test_whoever_was_let_in_is_known_still_when_he_has_to_be_looked_up_anew(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, user_id)
    assert here.callers.remembered(pair.access_token) is None
    holder = await here.access.authenticate(bearer(pair.access_token))
    assert here.callers.remembered(pair.access_token) is holder
    here.access.changed(tenant_id)
    assert here.callers.remembered(pair.access_token) is None
    assert here.callers.has_known(pair.access_token)
    assert not here.callers.has_known("a.b.c")


async def test_api_keys_work_as_before_and_their_use_is_noted(here: Process, twins: Twins) -> None:
    made = await create_key(here.access, twins[0].tenant_id, name="shop", scopes=["payments:read"])
    holder = await here.access.authenticate(bearer(made.secret))
    assert (holder.kind, holder.id) == (PrincipalKind.KEY, made.key.id)
    assert here.access.callers.take_used() == {twins[0].tenant_id: {made.key.id: None}}
    await revoke_key(here.access, twins[0].tenant_id, made.key.id)
    assert await refused(here, made.secret)
