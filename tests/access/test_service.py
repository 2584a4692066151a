"""The life of API keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from florin.access.addresses import networks
from florin.access.errors import (
    AddressNotAllowed,
    ApiKeyAlreadyRotated,
    ApiKeyEnded,
    ApiKeyNotFound,
    BeyondOwnScopes,
    PlatformScope,
    UnknownScope,
)
from florin.access.model import KeyStatus, Limits, digest
from florin.access.service import (
    Access,
    change_key,
    create_key,
    get_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from florin.kernel.clock import now
from florin.kernel.errors import InvalidRequest, Unauthenticated
from florin.kernel.provenance import Provenance, acting_as
from florin.kernel.settings import Settings
from florin.tenancy.errors import TenantNotFound, UnknownReference
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy, create_partner, create_tenant
from tests.tenancy.conftest import DETAILS

from .conftest import Urls, bearer

Twins = tuple[Tenant, Tenant]

HERE = networks(["10.0.0.0/8"])


async def test_only_the_digest_of_a_key_is_stored(access: Access, twins: Twins, database_urls: Urls) -> None:
    made = await create_key(access, twins[0].tenant_id, name="shop", scopes=["*"])
    with psycopg.connect(database_urls.root) as root:
        row = root.execute(
            "SELECT k.digest, k::text FROM access.api_keys k WHERE id = %s", (made.key.id,)
        ).fetchone()
    assert row is not None
    assert row[0] == digest(made.secret)
    assert made.secret not in row[1]
    assert made.secret.startswith(made.key.prefix)


async def test_a_key_speaks_for_the_twin_that_it_was_made_for(access: Access, twins: Twins) -> None:
    for twin in twins:
        made = await create_key(access, twin.tenant_id, name="shop", scopes=["payments:read"])
        principal = await access.authenticate(bearer(made.secret))
        assert (principal.tenant_id, principal.live) == (twin.tenant_id, twin.live)
        assert made.secret.startswith("fl_live_" if twin.live else "fl_test_")
        assert principal.scopes == {"payments:read"}


async def test_a_key_with_the_other_mode_written_into_it_is_unknown(access: Access, twins: Twins) -> None:
    made = await create_key(access, twins[1].tenant_id, name="shop", scopes=["*"])
    with pytest.raises(Unauthenticated):
        await access.authenticate(bearer(made.secret.replace("fl_test_", "fl_live_")))


async def test_limits_come_from_the_request_then_the_partner_then_the_platform(
    access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    partner = await create_partner(tenancy, tenant_id, name="Shop", email="s@shop.example", limit_per_hour=70)
    made = await create_key(
        access, tenant_id, name="k", scopes=["*"], partner_id=partner.id, limits={"per_day": None}
    )
    assert made.key.limits == Limits(1_000, 70, None)


async def test_the_platforms_limits_are_settings_and_zero_is_unlimited(
    tenancy: Tenancy, twins: Twins
) -> None:
    settings = Settings(rate_limit_per_minute=5, rate_limit_per_hour=0)
    access = Access(tenancy.database, tenancy.notifier, settings=settings)
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    assert made.key.limits == Limits(5, None, 100_000)


async def test_scopes_that_do_not_exist_and_no_scopes_are_refused(access: Access, twins: Twins) -> None:
    for scopes in (["payments:destroy"], []):
        with pytest.raises(UnknownScope) as refused:
            await create_key(access, twins[0].tenant_id, name="k", scopes=scopes)
        assert refused.value.param == "scopes"


async def test_a_key_cannot_be_given_more_than_its_maker_has(access: Access, twins: Twins) -> None:
    with pytest.raises(BeyondOwnScopes, match="ledger:write"):
        await create_key(
            access,
            twins[0].tenant_id,
            name="k",
            scopes=["keys:write", "ledger:write"],
            by_scopes=frozenset({"keys:write"}),
        )
    assert await list_keys(access, twins[0].tenant_id) == []


async def test_keys_of_nobody_and_keys_that_end_before_they_begin_are_refused(
    access: Access, tenancy: Tenancy, twins: Twins, new_tenant: Callable[[], Awaitable[Twins]]
) -> None:
    with pytest.raises(TenantNotFound):
        await create_key(access, 2_000_000_000, name="k", scopes=["*"])
    others = await create_partner(
        tenancy, (await new_tenant())[0].tenant_id, name="Shop", email="s@shop.example"
    )
    with pytest.raises(UnknownReference):
        await create_key(access, twins[0].tenant_id, name="k", scopes=["*"], partner_id=others.id)
    with pytest.raises(InvalidRequest):
        await create_key(access, twins[0].tenant_id, name="k", scopes=["*"], expires_at=now())


async def test_lists_are_newest_first_and_continue_after_a_key(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made = [(await create_key(access, tenant_id, name=f"{n}", scopes=["*"])).key.id for n in range(3)]
    assert [key.id for key in await list_keys(access, tenant_id)] == made[::-1]
    assert [key.id for key in await list_keys(access, tenant_id, after=made[2], count=1)] == [made[1]]


async def test_a_revoked_key_stops_at_once_and_revoking_twice_changes_nothing(
    access: Access, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"])
    await access.authenticate(bearer(made.secret))
    first = await revoke_key(access, tenant_id, made.key.id)
    with pytest.raises(Unauthenticated):
        await access.authenticate(bearer(made.secret))
    assert (await revoke_key(access, tenant_id, made.key.id)).revoked_at == first.revoked_at


async def test_keys_of_another_tenant_do_not_exist(
    access: Access, twins: Twins, new_tenant: Callable[[], Awaitable[Twins]]
) -> None:
    other = (await new_tenant())[0].tenant_id
    made = await create_key(access, other, name="k", scopes=["*"])
    for use in (get_key, revoke_key, rotate_key):
        with pytest.raises(ApiKeyNotFound):
            await use(access, twins[0].tenant_id, made.key.id)
    await access.authenticate(bearer(made.secret))


async def test_after_rotation_both_keys_work_until_the_overlap_is_over(
    tenancy: Tenancy, twins: Twins
) -> None:
    later = 0.0
    access = Access(tenancy.database, tenancy.notifier, clock=lambda: now().timestamp() + later)
    tenant_id = twins[0].tenant_id
    old = await create_key(access, tenant_id, name="k", scopes=["ledger:read"], limits={"per_day": 7})
    new = await rotate_key(access, tenant_id, old.key.id, overlap=timedelta(hours=2))
    assert (new.key.scopes, new.key.limits, new.key.rotated_from) == (
        old.key.scopes,
        old.key.limits,
        old.key.id,
    )
    ids = [(await access.authenticate(bearer(key.secret))).id for key in (old, new)]
    assert ids == [old.key.id, new.key.id]
    later = 2 * 3600 + 1
    with pytest.raises(Unauthenticated):
        await access.authenticate(bearer(old.secret))
    assert (await access.authenticate(bearer(new.secret))).id == new.key.id


async def test_rotation_without_overlap_ends_the_old_key_now(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    old = await create_key(access, tenant_id, name="k", scopes=["*"])
    await rotate_key(access, tenant_id, old.key.id, overlap=timedelta(0))
    with pytest.raises(Unauthenticated):
        await access.authenticate(bearer(old.secret))


async def test_a_successor_lives_as_long_as_its_predecessor_was_meant_to(
    access: Access, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    old = await create_key(access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(hours=10))
    new = await rotate_key(access, tenant_id, old.key.id)
    assert old.key.expires_at is not None
    assert new.key.expires_at is not None
    assert new.key.expires_at - new.key.created_at == old.key.expires_at - old.key.created_at
    kept = await get_key(access, tenant_id, old.key.id)
    assert kept.expires_at == old.key.expires_at, "the overlap never makes a key live longer"


async def test_of_two_rotations_at_once_one_is_refused(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    old = await create_key(access, tenant_id, name="k", scopes=["*"])
    outcomes = await asyncio.gather(
        *(rotate_key(access, tenant_id, old.key.id) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ApiKeyAlreadyRotated", "NewKey"]
    assert len(await list_keys(access, tenant_id)) == 2
    with pytest.raises(ApiKeyAlreadyRotated):
        await rotate_key(access, tenant_id, old.key.id)


async def test_an_ended_key_cannot_be_rotated_and_a_stronger_one_neither(
    access: Access, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"])
    with pytest.raises(BeyondOwnScopes):
        await rotate_key(access, tenant_id, made.key.id, by_scopes=frozenset({"keys:write"}))
    await revoke_key(access, tenant_id, made.key.id)
    with pytest.raises(ApiKeyEnded):
        await rotate_key(access, tenant_id, made.key.id)


async def test_last_use_is_written_in_batches(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    used = await create_key(access, tenant_id, name="used", scopes=["*"])
    idle = await create_key(access, tenant_id, name="idle", scopes=["*"])
    for _ in range(3):
        await access.authenticate(bearer(used.secret))
    await access.authenticate(bearer(used.secret), "192.0.2.7")
    assert (await get_key(access, tenant_id, used.key.id)).last_used_at is None
    await access.write_last_use()
    written = await get_key(access, tenant_id, used.key.id)
    assert written.last_used_at is not None
    assert str(written.last_used_address) == "192.0.2.7"
    assert (await get_key(access, tenant_id, idle.key.id)).last_used_at is None


async def test_a_change_is_felt_at_once_and_leaves_the_rest_as_it_is(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(
        access, tenant_id, name="k", scopes=["ledger:read"], limits={"per_minute": 5, "per_day": None}
    )
    await access.authenticate(bearer(made.secret), "192.0.2.7")
    changed = await change_key(
        access,
        tenant_id,
        made.key.id,
        {"scopes": ["payments:*", "events:read"], "limits": {"per_minute": 9}, "allowed_addresses": HERE},
    )
    assert changed == replace(
        made.key,
        scopes=["events:read", "payments:*"],
        limits=Limits(9, 10_000, None),
        allowed_addresses=HERE,
    )
    assert await get_key(access, tenant_id, made.key.id) == changed
    holder = await access.authenticate(bearer(made.secret), "10.1.1.1")
    assert holder.scopes == {"events:read", "payments:*"}
    assert holder.limits.per_minute == 9
    with pytest.raises(AddressNotAllowed):
        await access.authenticate(bearer(made.secret), "192.0.2.7")


async def test_nobody_gives_a_key_by_changing_it_what_he_does_not_have(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["ledger:read"])
    for scopes in (["*"], ["keys:*"], ["keys:write", "payments:read"]):
        with pytest.raises(BeyondOwnScopes):
            await change_key(
                access,
                tenant_id,
                made.key.id,
                {"scopes": scopes},
                by_scopes=frozenset({"keys:write", "ledger:read"}),
            )
    family = await change_key(
        access,
        tenant_id,
        made.key.id,
        {"scopes": ["keys:read"]},
        by_scopes=frozenset({"keys:*", "ledger:*"}),
    )
    assert family.scopes == ["keys:read"]
    with pytest.raises(UnknownScope):
        await change_key(access, tenant_id, made.key.id, {"scopes": ["keys:destroy"]})


@pytest.mark.parametrize(
    "change",
    [{"allowed_addresses": []}, {"limits": {"per_minute": None}}, {"name": "x"}, {"scopes": ["keys:read"]}],
)
async def test_nobody_changes_a_key_that_may_do_what_he_may_not(
    access: Access, twins: Twins, change: dict[str, object]
) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"], allowed_addresses=HERE)
    with pytest.raises(BeyondOwnScopes):
        await change_key(access, tenant_id, made.key.id, change, by_scopes=frozenset({"keys:*"}))
    assert await get_key(access, tenant_id, made.key.id) == made.key


async def test_scopes_of_the_platform_are_for_keys_of_its_tenant(
    access: Access, tenancy: Tenancy, twins: Twins
) -> None:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"])
    with pytest.raises(PlatformScope):
        await create_key(access, twins[0].tenant_id, name="k", scopes=["platform:read"])
    with pytest.raises(PlatformScope):
        await change_key(access, twins[0].tenant_id, made.key.id, {"scopes": ["platform:*"]})
    house, test = await create_tenant(tenancy, "PLATFORM", DETAILS)
    with pytest.raises(PlatformScope):
        await create_key(access, test.tenant_id, name="k", scopes=["platform:*"])
    harmless = await create_key(access, test.tenant_id, name="k", scopes=["*"])
    assert not (await access.authenticate(bearer(harmless.secret))).platform
    platforms = await create_key(access, house.tenant_id, name="k", scopes=["platform:*"])
    holder = await access.authenticate(bearer(platforms.secret))
    assert holder.platform
    assert holder.scopes == {"platform:*"}
    assert not (await access.authenticate(bearer(made.secret))).platform


async def test_ended_keys_cannot_be_changed(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    revoked = await create_key(access, tenant_id, name="k", scopes=["*"])
    await revoke_key(access, tenant_id, revoked.key.id)
    expired = await create_key(
        access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(seconds=0.05)
    )
    await asyncio.sleep(0.06)
    for key in (revoked, expired):
        with pytest.raises(ApiKeyEnded):
            await change_key(access, tenant_id, key.key.id, {"name": "x"})
    with pytest.raises(ApiKeyNotFound):
        await change_key(access, twins[1].tenant_id, revoked.key.id, {"name": "x"})


async def test_changes_of_different_fields_at_once_are_all_kept(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"])
    changes: list[dict[str, object]] = [
        {"name": "new"},
        {"scopes": ["ledger:read"]},
        {"allowed_addresses": HERE},
        {"limits": {"per_minute": 7}},
        {"limits": {"per_hour": 7}},
        {"limits": {"per_day": 7}},
    ]
    await asyncio.gather(*(change_key(access, tenant_id, made.key.id, change) for change in changes))
    assert await get_key(access, tenant_id, made.key.id) == replace(
        made.key, name="new", scopes=["ledger:read"], allowed_addresses=HERE, limits=Limits(7, 7, 7)
    )


async def test_a_change_beside_a_rotation_is_in_the_successor_or_was_too_late_for_it(
    access: Access, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    old = await create_key(access, tenant_id, name="k", scopes=["*"])
    new, changed = await asyncio.gather(
        rotate_key(access, tenant_id, old.key.id), change_key(access, tenant_id, old.key.id, {"name": "new"})
    )
    assert changed.name == "new"
    assert (new.key.name == "new") is (changed.expires_at is None), "whoever came first"


async def test_the_first_reason_for_a_revocation_stays_and_so_does_who_gave_it(
    access: Access, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"])
    for reason, by in (("leaked", "key_a"), ("again", "key_b")):
        revoked = await revoke_key(access, tenant_id, made.key.id, reason=reason, by=by)
    assert (revoked.revoked_reason, revoked.revoked_by) == ("leaked", "key_a")


async def test_lists_are_filtered_by_how_keys_stand(access: Access, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    active = await create_key(access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(days=1))
    revoked = await create_key(access, tenant_id, name="k", scopes=["*"])
    await revoke_key(access, tenant_id, revoked.key.id)
    expired = await create_key(
        access, tenant_id, name="k", scopes=["*"], expires_at=now() + timedelta(seconds=0.05)
    )
    await asyncio.sleep(0.06)
    expected = {KeyStatus.ACTIVE: active, KeyStatus.REVOKED: revoked, KeyStatus.EXPIRED: expired}
    for status, made in expected.items():
        (found,) = await list_keys(access, tenant_id, status=status)
        assert (found.id, found.status(now())) == (made.key.id, status)


async def test_the_audit_log_has_every_change_of_a_key_and_neither_its_digest_nor_its_use(
    access: Access, twins: Twins, database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    made = await create_key(access, tenant_id, name="k", scopes=["*"])
    await access.authenticate(bearer(made.secret), "192.0.2.7")
    await access.write_last_use()
    await change_key(access, tenant_id, made.key.id, {"allowed_addresses": HERE})
    with acting_as(lambda: Provenance(actor="key_x", address="192.0.2.1")):
        await revoke_key(access, tenant_id, made.key.id, reason="leaked")
    with psycopg.connect(database_urls.root) as root:
        rows = root.execute(
            "SELECT action, actor, reason, before, after FROM audit.log"
            " WHERE tenant_id = %s AND entity_type = 'api_key' AND entity_id = %s ORDER BY seq",
            (tenant_id, str(made.key.id)),
        ).fetchall()
    assert [row[0] for row in rows] == ["created", "changed", "changed"]
    assert rows[1][4]["allowed_addresses"] == ["10.0.0.0/8"]
    assert rows[2][1:3] == ("key_x", "leaked")
    assert rows[2][4]["revoked_reason"] == "leaked"
    hidden = {"digest", "last_used_at", "last_used_address", "warned_days"}
    assert all(hidden.isdisjoint(row[4]) for row in rows)
