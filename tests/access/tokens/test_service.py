"""Access tokens for OAuth clients, and what they are worth."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import median
from time import perf_counter
from uuid import UUID

import pytest

from florin.access.addresses import networks
from florin.access.errors import AddressNotAllowed, PartnerNotActive
from florin.access.model import KeyKind, NewKey, generate
from florin.access.service import create_key, revoke_key, rotate_key
from florin.access.tokens.errors import OAuthError, OAuthRefused
from florin.access.tokens.form import Credentials
from florin.access.tokens.service import Granted, authenticate_client, grant, introspect
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import encode_id, new_id
from florin.tenancy.model import Partner, Status, Tenant
from florin.tenancy.service import Tenancy, change_partner
from tests.access.conftest import bearer
from tests.access.tokens_world import Process, process

Twins = tuple[Tenant, Tenant]


SCOPES = ("payments:read", "refunds:read", "refunds:write")


async def new_client(
    here: Process, tenant_id: int, scopes: Sequence[str] = SCOPES, **options: object
) -> NewKey:
    return await create_key(
        here.access,
        tenant_id,
        name="erp",
        scopes=scopes,
        kind=KeyKind.CLIENT,
        **options,  # type: ignore[arg-type]
    )


def shown(made: NewKey, secret: str | None = None) -> Credentials:
    return Credentials(encode_id("key", made.key.id), secret or made.secret)


async def granted(here: Process, made: NewKey, scope: str | None = None) -> Granted:
    return await grant(here.access, here.keys, shown(made), scope)


async def error_of(here: Process, credentials: Credentials, scope: str | None = None) -> OAuthError:
    with pytest.raises(OAuthRefused) as refused:
        await grant(here.access, here.keys, credentials, scope)
    return refused.value.error


@pytest.mark.parametrize("live", [True, False])
async def test_a_client_gets_a_token_that_speaks_for_it(here: Process, twins: Twins, live: bool) -> None:
    tenant_id = twins[not live].tenant_id
    made = await new_client(here, tenant_id)
    assert made.secret.startswith("fl_cs_live_" if live else "fl_cs_test_")
    assert made.secret.startswith(made.key.prefix)
    token = await granted(here, made)
    assert (token.expires_in_s, token.scope) == (900, "payments:read refunds:read refunds:write")
    holder = await here.access.authenticate(bearer(token.access_token))
    assert (holder.kind, holder.id, holder.tenant_id) == (PrincipalKind.KEY, made.key.id, tenant_id)
    assert holder.scopes == set(SCOPES)
    assert holder.live is live
    assert holder.limits == made.key.limits
    assert here.access.callers.take_used() == {tenant_id: {made.key.id: None}}


async def test_a_clients_secret_is_no_bearer_key_and_a_bearer_key_no_client(
    here: Process, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    client = await new_client(here, tenant_id)
    bearer_key = await create_key(here.access, tenant_id, name="k", scopes=["*"])
    for secret in (client.secret, client.secret.replace("fl_cs_", "fl_")):
        with pytest.raises(Unauthenticated):
            await here.access.authenticate(bearer(secret))
    for secret in (bearer_key.secret, bearer_key.secret.replace("fl_", "fl_cs_")):
        assert await error_of(here, shown(bearer_key, secret)) is OAuthError.INVALID_CLIENT


async def test_a_token_may_be_narrower_than_its_client_and_never_wider(here: Process, twins: Twins) -> None:
    made = await new_client(here, twins[0].tenant_id)
    token = await granted(here, made, "refunds:read")
    holder = await here.access.authenticate(bearer(token.access_token))
    assert token.scope == "refunds:read"
    assert holder.scopes == {"refunds:read"}
    more = ("ledger:read", "refunds:read ledger:read", "payments:*", "*", "platform:*")
    for scope in (*more, "refunds:launder", " "):
        assert await error_of(here, shown(made), scope) is OAuthError.INVALID_SCOPE


async def test_what_a_token_may_do_follows_its_client(
    here: Process, twins: Twins, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    made = await new_client(here, tenant_id)
    token = await granted(here, made, "payments:read refunds:read")
    async with database.tenant(tenant_id) as connection:
        await connection.execute(
            "UPDATE access.api_keys SET scopes = '{refunds:*,ledger:*}' WHERE tenant_id = %s AND id = %s",
            (tenant_id, made.key.id),
        )
    here.access.changed(tenant_id)
    assert (await here.access.authenticate(bearer(token.access_token))).scopes == {"refunds:read"}


async def test_a_client_that_ends_takes_its_tokens_along(here: Process, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made = await new_client(here, tenant_id)
    token = await granted(here, made)
    await here.access.authenticate(bearer(token.access_token))
    await revoke_key(here.access, tenant_id, made.key.id)
    with pytest.raises(Unauthenticated):
        await here.access.authenticate(bearer(token.access_token))
    assert await error_of(here, shown(made)) is OAuthError.INVALID_CLIENT


async def test_a_token_does_not_outlive_its_client(here: Process, twins: Twins) -> None:
    made = await new_client(here, twins[0].tenant_id, expires_at=now() + timedelta(seconds=300))
    token = await granted(here, made)
    assert 250 < token.expires_in_s <= 300
    here.clock.at += 301
    with pytest.raises(Unauthenticated):
        await here.access.authenticate(bearer(token.access_token))


async def test_a_rotated_client_has_a_successor_of_its_kind(here: Process, twins: Twins) -> None:
    made = await new_client(here, twins[0].tenant_id)
    successor = await rotate_key(here.access, twins[0].tenant_id, made.key.id)
    assert successor.key.kind == KeyKind.CLIENT
    for one in (made, successor):
        await here.access.authenticate(bearer((await granted(here, one)).access_token))


async def test_a_partner_that_may_not_call_gets_no_token(
    here: Process, twins: Twins, tenancy: Tenancy, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    made = await new_client(here, tenant_id, partner_id=partner.id)
    token = await granted(here, made)
    await change_partner(tenancy, tenant_id, partner.id, {"status": Status.SUSPENDED})
    here.access.changed(tenant_id)
    assert await error_of(here, shown(made)) is OAuthError.UNAUTHORIZED_CLIENT
    with pytest.raises(PartnerNotActive):
        await here.access.authenticate(bearer(token.access_token))


async def test_whatever_is_wrong_with_a_client_the_answer_is_the_same(here: Process, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    made, other = [await new_client(here, tenant_id) for _ in range(2)]
    strangers = await new_client(here, twins[1].tenant_id)
    wrong = generate(tenant_id, live=True, kind=KeyKind.CLIENT)
    descriptions = set()
    for credentials in (
        shown(made, wrong),
        shown(made, other.secret),
        shown(made, strangers.secret),
        shown(made, made.secret.replace("_live_", "_test_")),
        shown(made, "nonsense"),
        Credentials(encode_id("key", new_id()), made.secret),
        Credentials(encode_id("key", strangers.key.id), made.secret),
        Credentials("nobody", made.secret),
        Credentials("", ""),
    ):
        with pytest.raises(OAuthRefused) as refused:
            await grant(here.access, here.keys, credentials, None)
        descriptions.add((refused.value.error, refused.value.description))
    assert len(descriptions) == 1
    assert made.secret not in repr(shown(made))


async def test_an_unknown_client_takes_as_long_as_a_wrong_secret(here: Process, twins: Twins) -> None:
    """Both make one look-up and one comparison: medians of many, taken in turns, lie close together."""
    tenant_id = twins[0].tenant_id
    made = await new_client(here, tenant_id)
    wrong = generate(tenant_id, live=True, kind=KeyKind.CLIENT)
    kinds = (shown(made, wrong), Credentials(encode_id("key", new_id()), wrong))
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(60):
        for times, credentials in zip(took, kinds, strict=True):
            started = perf_counter()
            with pytest.raises(OAuthRefused):
                await authenticate_client(here.access, credentials)
            times.append(perf_counter() - started)
    wrong_s, unknown_s = (median(times) for times in took)
    assert 0.5 < wrong_s / unknown_s < 2, (wrong_s, unknown_s)


async def test_an_unknown_key_takes_as_long_as_one_that_has_ended(here: Process, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(40):
        made = await create_key(here.access, tenant_id, name="k", scopes=["*"])
        await revoke_key(here.access, tenant_id, made.key.id)
        for times, secret in zip(took, (made.secret, generate(tenant_id, live=True)), strict=True):
            started = perf_counter()
            with pytest.raises(Unauthenticated):
                await here.access.authenticate(bearer(secret))
            times.append(perf_counter() - started)
    ended_s, unknown_s = (median(times) for times in took)
    assert 0.5 < ended_s / unknown_s < 2, (ended_s, unknown_s)


async def test_a_client_sees_what_a_token_of_its_own_tenant_is_worth(
    here: Process, twins: Twins, user_id: UUID, partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    asking = (await authenticate_client(here.access, shown(await new_client(here, tenant_id)))).holder
    of_partner = (
        await authenticate_client(
            here.access, shown(await new_client(here, tenant_id, partner_id=partner.id))
        )
    ).holder
    stranger = (
        await authenticate_client(here.access, shown(await new_client(here, twins[1].tenant_id)))
    ).holder
    assert asking is not None
    assert of_partner is not None
    assert stranger is not None
    pair = await here.sign_in(tenant_id, user_id)
    found = await introspect(here.callers, here.keys, asking, pair.access_token)
    assert found is not None
    assert (found.claims.subject, "payments:read" in found.scopes) == (user_id, True)
    for whose in (of_partner, stranger):
        assert await introspect(here.callers, here.keys, whose, pair.access_token) is None
    made = await new_client(here, tenant_id, partner_id=partner.id)
    token = (await granted(here, made)).access_token
    assert await introspect(here.callers, here.keys, of_partner, token) is not None
    await revoke_key(here.access, tenant_id, made.key.id)
    assert await introspect(here.callers, here.keys, of_partner, token) is None
    for nothing in ("a.b.c", "", pair.refresh_token, made.secret):
        assert await introspect(here.callers, here.keys, asking, nothing) is None


async def test_a_token_of_a_client_whose_scopes_were_made_up_gives_none(
    here: Process, twins: Twins, database: Database
) -> None:
    """Not even a token that we have signed gives more than the client's row."""
    made = await new_client(here, twins[0].tenant_id)
    claims = await here.keys.verify((await granted(here, made)).access_token)
    token = await here.keys.sign(replace(claims, scope="* platform:* ledger:write"))
    holder = await process(database, clock=here.clock).access.authenticate(bearer(token))
    assert holder.scopes == set(SCOPES)


async def test_a_client_is_bound_to_its_addresses_where_it_asks_and_where_it_calls(
    here: Process, twins: Twins
) -> None:
    made = await new_client(here, twins[0].tenant_id, allowed_addresses=networks(["192.0.2.0/24"]))
    for address in ("198.51.100.1", None):
        with pytest.raises(OAuthRefused) as refused:
            await grant(here.access, here.keys, shown(made), None, address)
        assert refused.value.error is OAuthError.UNAUTHORIZED_CLIENT
    token = await grant(here.access, here.keys, shown(made), None, "192.0.2.7")
    holder = await here.access.authenticate(bearer(token.access_token), "192.0.2.8")
    assert holder.id == made.key.id
    with pytest.raises(AddressNotAllowed):
        await here.access.authenticate(bearer(token.access_token), "198.51.100.1")
