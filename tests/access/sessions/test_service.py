"""The life of sessions and their refresh tokens."""

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.people.errors import UserNotFound
from florin.access.sessions import model
from florin.access.sessions.errors import RefreshRefused, SessionNotFound, UserNotActive
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import (
    end,
    end_all,
    end_expired,
    end_of_user,
    list_open,
    owner_of,
    refresh,
    sign_out,
)
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.ids import encode_id, new_id
from florin.kernel.provenance import Provenance
from florin.tenancy.errors import TenantNotFound
from florin.tenancy.model import Partner, Status, Tenant, TenantStatus
from florin.tenancy.service import Tenancy, change_partner
from florin.tenancy.service import set_status as set_tenant_status
from tests.access.conftest import Urls, bearer
from tests.access.tokens_world import Process, new_user, process, set_status

Twins = tuple[Tenant, Tenant]


async def ended_reason(database: Database, tenant_id: int, session_id: UUID) -> str | None:
    async with database.tenant(tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT ended_reason FROM access.sessions WHERE tenant_id = %s AND id = %s",
            (tenant_id, session_id),
        )
        row = await cursor.fetchone()
    assert row is not None
    reason: str | None = row[0]
    return reason


async def test_a_new_session_can_call_and_be_renewed(here: Process, twins: Twins, user_id: UUID) -> None:
    tenant_id = twins[0].tenant_id
    first = await here.sign_in(tenant_id, user_id)
    assert first.expires_in_s == 900
    second = await refresh(here.sessions, first.refresh_token)
    assert second.session_id == first.session_id
    assert len({first.refresh_token, second.refresh_token, first.access_token, second.access_token}) == 4
    for pair in (first, second):  # an access token is good for its time; a renewal does not end the last one
        holder = await here.access.authenticate(bearer(pair.access_token))
        assert (holder.id, holder.session_id, holder.tenant_id) == (user_id, first.session_id, tenant_id)


async def test_only_the_digests_of_refresh_tokens_are_stored(
    here: Process, twins: Twins, user_id: UUID, database_urls: Urls
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    with psycopg.connect(database_urls.root) as root:
        rows = root.execute(
            "SELECT r.digest, r::text FROM access.refresh_tokens r WHERE session_id = %s", (pair.session_id,)
        ).fetchall()
    assert [row[0] for row in rows] == [model.digest(pair.refresh_token)]
    assert pair.refresh_token not in rows[0][1]


async def test_a_used_refresh_token_that_comes_again_ends_the_session(
    here: Process, twins: Twins, user_id: UUID, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    first = await here.sign_in(tenant_id, user_id)
    second = await refresh(here.sessions, first.refresh_token)
    thief = Provenance(actor=encode_id("user", user_id), address="203.0.113.9", user_agent="thief")
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, first.refresh_token, lambda _: thief)
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, second.refresh_token)
    with pytest.raises(Unauthenticated):
        await here.access.authenticate(bearer(second.access_token))
    assert await ended_reason(database, tenant_id, first.session_id) == "refresh_reused"
    async with database.tenant(tenant_id) as connection:
        audit = await (
            await connection.execute(
                "SELECT action, address, after ->> 'reason' FROM audit.log "
                "WHERE tenant_id = %s AND entity_type = 'session' AND entity_id = %s",
                (tenant_id, encode_id("ses", first.session_id)),
            )
        ).fetchall()
        events = await (
            await connection.execute(
                "SELECT e.type, e.data ->> 'address' FROM kernel.events e JOIN kernel.outbox o "
                "ON o.tenant_id = e.tenant_id AND o.event_id = e.id "
                "WHERE e.tenant_id = %s AND e.object_id = %s",
                (tenant_id, first.session_id),
            )
        ).fetchall()
    assert audit == [("ended", "203.0.113.9", "refresh_reused")]
    assert events == [("session.refresh_reused", "203.0.113.9")]


async def test_of_twenty_requests_at_once_over_two_processes_one_gets_tokens_and_the_session_ends(
    database: Database, twins: Twins, user_id: UUID
) -> None:
    processes = [process(database), process(database)]
    tenant_id = twins[0].tenant_id
    first = await processes[0].sign_in(tenant_id, user_id)
    answers = await asyncio.gather(
        *(refresh(processes[n % 2].sessions, first.refresh_token) for n in range(20)), return_exceptions=True
    )
    pairs = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(pairs) == 1
    assert {type(answer) for answer in answers if isinstance(answer, BaseException)} == {RefreshRefused}
    with pytest.raises(RefreshRefused):  # somebody else holds the same token, and nobody can tell who
        await refresh(processes[1].sessions, pairs[0].refresh_token)
    assert await ended_reason(database, tenant_id, first.session_id) == "refresh_reused"
    async with database.tenant(tenant_id) as connection:
        row = await (
            await connection.execute(
                "SELECT (SELECT count(*) FROM kernel.events WHERE tenant_id = %(t)s AND object_id = %(s)s), "
                "(SELECT count(*) FROM access.refresh_tokens WHERE tenant_id = %(t)s AND session_id = %(s)s)",
                {"t": tenant_id, "s": first.session_id},
            )
        ).fetchone()
    assert row == (1, 0)


@pytest.mark.parametrize(
    "token", ["", "nonsense", "fl_rt_1_short", "fl_rt_zzzzzz_" + "a" * 43, "fl_test_1_" + "a" * 43]
)
async def test_what_is_no_refresh_token_is_refused_like_one_that_is_unknown(
    here: Process, token: str
) -> None:
    with pytest.raises(RefreshRefused) as malformed:
        await refresh(here.sessions, token)
    with pytest.raises(RefreshRefused) as unknown:
        await refresh(here.sessions, model.generate(1))
    assert malformed.value.detail == unknown.value.detail


async def test_a_session_that_is_not_renewed_for_seven_days_ends(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    here.clock.at += timedelta(days=6.9).total_seconds()
    pair = await refresh(here.sessions, pair.refresh_token)
    here.clock.at += timedelta(days=7).total_seconds()
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, pair.refresh_token)


async def test_a_session_that_is_renewed_again_and_again_ends_after_thirty_days(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    for _ in range(4):
        here.clock.at += timedelta(days=6).total_seconds()
        pair = await refresh(here.sessions, pair.refresh_token)
    here.clock.at += timedelta(days=6).total_seconds() - 60
    pair = await refresh(here.sessions, pair.refresh_token)
    assert pair.expires_in_s <= 60, "no access token outlives its session"
    here.clock.at += 60
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, pair.refresh_token)


@pytest.mark.parametrize("role", ["tenant_admin", "operator", "auditor"])
async def test_whoever_may_do_more_than_read_is_signed_out_after_fifteen_minutes(
    here: Process, twins: Twins, database: Database, role: str
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, await new_user(database, tenant_id, [role]))
    here.clock.at += 14 * 60
    pair = await refresh(here.sessions, pair.refresh_token)
    here.clock.at += 14 * 60 + 59
    await here.access.authenticate(bearer(pair.access_token))
    here.clock.at += 1
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, pair.refresh_token)


async def test_a_user_who_is_suspended_can_neither_begin_nor_renew(
    here: Process, twins: Twins, user_id: UUID, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, user_id)
    await set_status(database, tenant_id, user_id, "SUSPENDED")
    with pytest.raises(RefreshRefused):
        await refresh(here.sessions, pair.refresh_token)
    with pytest.raises(UserNotActive):
        await here.sign_in(tenant_id, user_id)
    with pytest.raises(UserNotActive):
        await here.sign_in(tenant_id, new_id())
    with pytest.raises(TenantNotFound):
        await here.sign_in(2_000_000, user_id)


async def test_a_tenant_or_partner_that_may_not_call_cannot_renew_and_can_again_later(
    here: Process, twins: Twins, database: Database, tenancy: Tenancy, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(
        tenant_id, await new_user(database, tenant_id, ["viewer"], partner_id=partner.id)
    )
    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.SUSPENDED})
    with pytest.raises(PartnerNotActive):
        await refresh(here.sessions, pair.refresh_token)
    await set_tenant_status(tenancy, twins[0].code, TenantStatus.SUSPENDED, live=True)
    with pytest.raises(TenantNotActive):
        await refresh(here.sessions, pair.refresh_token)
    await set_tenant_status(tenancy, twins[0].code, TenantStatus.ACTIVE, live=True)
    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.ACTIVE})
    await refresh(here.sessions, pair.refresh_token)


async def test_a_suspension_and_whatever_the_user_does_meanwhile_wait_for_each_other_and_never_both(
    here: Process, twins: Twins, database: Database
) -> None:
    """Whoever changes a user locks him, the audit log and his sessions; nobody may lock them crosswise."""
    tenant_id = twins[0].tenant_id

    async def suspend(user_id: UUID) -> None:
        async with database.tenant(tenant_id) as connection:
            await connection.execute(
                "UPDATE access.users SET status = 'SUSPENDED' WHERE tenant_id = %s AND id = %s",
                (tenant_id, user_id),
            )
            await asyncio.sleep(0.01)
            await end_all(connection, tenant_id, user_id, "user_disabled")

    for _ in range(5):
        user_id = await new_user(database, tenant_id, ["viewer"])
        pairs = [await here.sign_in(tenant_id, user_id) for _ in range(4)]
        used = pairs[0].refresh_token
        await refresh(here.sessions, used)
        answers = await asyncio.gather(
            suspend(user_id),
            sign_out(here.sessions, pairs[1].refresh_token),
            refresh(here.sessions, used),
            refresh(here.sessions, pairs[2].refresh_token),
            end_of_user(here.sessions, tenant_id, user_id, EndReason.SIGNED_OUT, but=pairs[2].session_id),
            here.sign_in(tenant_id, user_id),
            return_exceptions=True,
        )
        assert {type(answer) for answer in answers if isinstance(answer, Exception)} <= {
            RefreshRefused,
            UserNotActive,
        }
        for pair in pairs:
            assert await ended_reason(database, tenant_id, pair.session_id) is not None


async def test_signing_out_ends_the_session_and_twice_is_as_once(
    here: Process, twins: Twins, user_id: UUID, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, user_id)
    await here.access.authenticate(bearer(pair.access_token))
    for _ in range(2):
        await sign_out(here.sessions, pair.refresh_token)
    with pytest.raises(Unauthenticated):
        await here.access.authenticate(bearer(pair.access_token))
    assert await ended_reason(database, tenant_id, pair.session_id) == "signed_out"
    for token in ("nonsense", model.generate(tenant_id)):
        await sign_out(here.sessions, token)


async def test_a_users_sessions_end_all_or_all_but_one(
    here: Process, twins: Twins, user_id: UUID, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    pairs = [await here.sign_in(tenant_id, user_id) for _ in range(4)]
    other = await here.sign_in(tenant_id, await new_user(database, tenant_id))
    kept = pairs[0].session_id
    assert await end_of_user(here.sessions, tenant_id, user_id, EndReason.REVOKED, but=kept) == 3
    owner = await owner_of(here.sessions, tenant_id, user_id)
    open_now = await list_open(here.sessions, tenant_id, user_id, owner, after=None, count=10)
    assert [session.id for session in open_now] == [kept]
    async with database.tenant(tenant_id) as connection:
        assert await end_all(connection, tenant_id, user_id, "password_changed") == 1
    assert await ended_reason(database, tenant_id, kept) == "password_changed"
    await refresh(here.sessions, other.refresh_token)


async def test_one_session_is_ended_by_its_user_only(here: Process, twins: Twins, user_id: UUID) -> None:
    tenant_id = twins[0].tenant_id
    pair = await here.sign_in(tenant_id, user_id)
    for session_id, whose in ((pair.session_id, new_id()), (new_id(), user_id)):
        with pytest.raises(SessionNotFound):
            await end(here.sessions, tenant_id, session_id, user_id=whose, reason=EndReason.REVOKED)
    with pytest.raises(SessionNotFound):  # another tenant's
        await end(
            here.sessions, twins[1].tenant_id, pair.session_id, user_id=user_id, reason=EndReason.REVOKED
        )
    await end(here.sessions, tenant_id, pair.session_id, user_id=user_id, reason=EndReason.REVOKED)
    with pytest.raises(SessionNotFound):
        await end(here.sessions, tenant_id, pair.session_id, user_id=user_id, reason=EndReason.REVOKED)


async def test_sessions_are_listed_newest_first_in_pages_without_those_that_rest_too_long(
    here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    user_id = await new_user(database, tenant_id, ["tenant_admin"])
    old = await here.sign_in(tenant_id, user_id)
    here.clock.at += 15 * 60
    pairs = [await here.sign_in(tenant_id, user_id) for _ in range(3)]
    owner = await owner_of(here.sessions, tenant_id, user_id)
    found = await list_open(here.sessions, tenant_id, user_id, owner, after=None, count=2)
    found += await list_open(here.sessions, tenant_id, user_id, owner, after=found[-1].id, count=2)
    assert [session.id for session in found] == [pair.session_id for pair in reversed(pairs)]
    assert old.session_id not in {session.id for session in found}
    assert (found[0].address, found[0].user_agent, found[0].methods) == ("198.51.100.7", "curl", ["pwd"])


async def test_whose_sessions_somebody_may_see(
    here: Process, twins: Twins, database: Database, partner: Partner, user_id: UUID
) -> None:
    tenant_id = twins[0].tenant_id
    of_partner = await new_user(database, tenant_id, ["viewer"], partner_id=partner.id)
    await owner_of(here.sessions, tenant_id, of_partner, partner_id=partner.id)
    await owner_of(here.sessions, tenant_id, user_id)
    for asked, reach in (
        (user_id, {"partner_id": partner.id}),  # the tenant's own user
        (user_id, {"units": frozenset({new_id()})}),  # may do things in the whole tenant
        (await new_user(database, tenant_id), {"units": frozenset({new_id()})}),  # belongs to no unit
        (new_id(), {}),
    ):
        with pytest.raises(UserNotFound):
            await owner_of(here.sessions, tenant_id, asked, **reach)
    with pytest.raises(UserNotFound):
        await owner_of(here.sessions, twins[1].tenant_id, user_id)


async def tokens_of(database: Database, tenant_id: int, session_id: UUID) -> int:
    async with database.tenant(tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM access.refresh_tokens WHERE tenant_id = %s AND session_id = %s",
            (tenant_id, session_id),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_session_takes_its_tokens_along_when_it_ends(
    here: Process, twins: Twins, user_id: UUID, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    ended, opened = [await here.sign_in(tenant_id, user_id) for _ in range(2)]
    for _ in range(3):
        ended, opened = [await refresh(here.sessions, pair.refresh_token) for pair in (ended, opened)]
    assert await tokens_of(database, tenant_id, ended.session_id) == 4, "used ones may come again"
    await sign_out(here.sessions, ended.refresh_token)
    assert await tokens_of(database, tenant_id, ended.session_id) == 0
    assert await tokens_of(database, tenant_id, opened.session_id) == 4
    suspended = await here.sign_in(tenant_id, user_id)
    async with database.tenant(tenant_id) as connection:  # as whoever keeps users ends them
        await connection.execute(
            "UPDATE access.sessions SET ended_at = now(), ended_reason = 'user_disabled' "
            "WHERE tenant_id = %s AND id = %s",
            (tenant_id, suspended.session_id),
        )
    assert await tokens_of(database, tenant_id, suspended.session_id) == 0
    await refresh(here.sessions, opened.refresh_token)


async def test_sessions_that_have_run_out_are_ended_and_no_others(
    here: Process, twins: Twins, user_id: UUID, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("florin.access.sessions.service._AT_A_TIME", 2)
    tenant_id = twins[0].tenant_id
    resting = [await here.sign_in(tenant_id, user_id) for _ in range(5)]
    here.clock.at += timedelta(days=6).total_seconds()
    fresh = await here.sign_in(tenant_id, user_id)
    assert await end_expired(here.sessions, tenant_id) == 0
    here.clock.at += timedelta(days=1).total_seconds()
    assert await end_expired(here.sessions, tenant_id) == 5
    for pair in resting:
        assert await ended_reason(database, tenant_id, pair.session_id) == "expired"
        assert await tokens_of(database, tenant_id, pair.session_id) == 0
    await refresh(here.sessions, fresh.refresh_token)


async def test_an_ended_session_stays_ended_and_a_used_token_used(
    here: Process, twins: Twins, user_id: UUID, database_urls: Urls
) -> None:
    first = await here.sign_in(twins[0].tenant_id, user_id)
    await refresh(here.sessions, first.refresh_token)
    await here.sign_in(twins[0].tenant_id, user_id)
    await end_of_user(here.sessions, twins[0].tenant_id, user_id, EndReason.REVOKED)
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        for statement in (
            b"UPDATE access.sessions SET ended_at = NULL, ended_reason = NULL",
            b"UPDATE access.refresh_tokens SET used_at = NULL WHERE used_at IS NOT NULL",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation):
                root.execute(statement)
