"""What administrators do about other people's signing in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from florin.access.service import create_key
from florin.access.signin import policy
from florin.kernel.ids import encode_id
from florin.tenancy.model import BusinessUnitType, Tenant
from florin.tenancy.service import Tenancy, create_business_unit, create_partner
from tests.access.signin.conftest import MakeUser, MovableClock, User, log_of, with_app
from tests.access.tokens_world import Process

from .conftest import Client

ACTIONS = ("unlock", "reset-second-factor")


def path(user: User, action: str) -> str:
    return f"users/{encode_id('user', user.id)}/{action}"


async def lock(client: Client, user: User) -> None:
    for _ in range(policy.USER_FAILURES):
        body = {"tenant": user.tenant.code, "live": user.tenant.live, "login": user.email, "password": "x"}
        assert (await client("POST", "auth/sign-in", body)).status_code == 401


async def test_an_unlocked_user_signs_in_at_once_and_the_log_says_who_did_it(
    client: Client, ann: User, key: str
) -> None:
    await lock(client, ann)
    assert (await client("POST", path(ann, "unlock"), token=key)).status_code == 204
    assert (await client.sign_in(ann))["status"] == "signed_in"
    assert (await client("POST", path(ann, "unlock"), token=key)).status_code == 204
    log = await log_of(client.room, ann.tenant.tenant_id)
    actors = [actor for actor, action, entity in log if action == "unlocked" and entity == str(ann.id)]
    assert len(actors) == 1
    assert actors[0].startswith("key_")


async def test_a_lost_second_factor_is_taken_away_and_sessions_end(
    client: Client, ann: User, key: str, clock: MovableClock
) -> None:
    token = await client.token(ann)
    await with_app(client.room, ann)
    assert (await client.sign_in(ann))["status"] == "mfa_required"
    assert (await client("POST", path(ann, "reset-second-factor"), token=key)).status_code == 204
    assert (await client.sign_in(ann))["status"] == "signed_in"
    assert (await client("GET", "me", token=token)).status_code == 401
    assert (await client("POST", path(ann, "reset-second-factor"), token=key)).status_code == 204


@pytest.mark.parametrize("action", ACTIONS)
async def test_nobody_unlocks_or_takes_a_second_factor_from_a_user_who_may_do_more(
    client: Client, tenancy: Tenancy, make_user: MakeUser, action: str
) -> None:
    admin = await make_user(roles=["tenant_admin"])
    unit = await create_business_unit(
        tenancy, admin.tenant.tenant_id, name="North", type=BusinessUnitType.RETAIL, parent_id=None
    )
    weaker = await make_user(roles=["business_unit_admin"])
    confined = await make_user(roles=["business_unit_admin"], unit_id=unit.id)
    stronger = await make_user(roles=["finance"], unit_id=unit.id)
    for who, user, status in (
        (weaker, admin, 403),
        (weaker, confined, 204),
        (confined, stronger, 403),
        (admin, weaker, 204),
        (admin, stronger, 204),
    ):
        answer = await client("POST", path(user, action), token=await client.token(who))
        assert answer.status_code == status
        assert status == 204 or answer.json()["code"] == "user_may_do_more"


@pytest.mark.parametrize("action", ACTIONS)
async def test_users_of_another_tenant_and_of_another_partner_do_not_exist(
    client: Client,
    here: Process,
    tenancy: Tenancy,
    make_user: MakeUser,
    new_tenant: Callable[[], Awaitable[tuple[Tenant, Tenant]]],
    action: str,
) -> None:
    ann = await make_user()
    stranger = await create_key(here.access, (await new_tenant())[1].tenant_id, name="k", scopes=["*"])
    partner = await create_partner(tenancy, ann.tenant.tenant_id, name="S", email="s@shop.example")
    partners = await create_key(
        here.access, ann.tenant.tenant_id, name="k", scopes=["*"], partner_id=partner.id
    )
    reader = await create_key(here.access, ann.tenant.tenant_id, name="k", scopes=["tenancy:read"])
    for secret, status in ((stranger.secret, 404), (partners.secret, 404), (reader.secret, 403)):
        assert (await client("POST", path(ann, action), token=secret)).status_code == status
    own = await make_user(partner_id=partner.id)
    assert (await client("POST", path(own, action), token=partners.secret)).status_code == 204


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_units_administrator_reaches_users_of_his_units_only(
    client: Client, tenancy: Tenancy, make_user: MakeUser, clock: MovableClock, action: str
) -> None:
    first = await make_user()
    tenant_id = first.tenant.tenant_id
    units = [
        await create_business_unit(
            tenancy, tenant_id, name=name, type=BusinessUnitType.RETAIL, parent_id=None
        )
        for name in ("North", "South")
    ]
    admin = await make_user(roles=["business_unit_admin"], unit_id=units[0].id)
    inside = await make_user(roles=["business_unit_admin"], unit_id=units[0].id)
    outside = await make_user(unit_id=units[1].id)
    token = await client.token(admin)
    for user, status in ((inside, 204), (outside, 404), (first, 404)):
        assert (await client("POST", path(user, action), token=token)).status_code == status
    clock.move(timedelta(seconds=1))
