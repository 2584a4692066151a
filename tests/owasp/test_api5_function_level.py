"""API5:2023, broken function level authorization: each endpoint, with every permission but its own."""

from dataclasses import replace

import pytest

from florin.access.people.model import Grant
from florin.access.service import Access, create_key
from florin.kernel.http.call import OpenToAll, Permission
from florin.kernel.ids import decode_id
from florin.kernel.permissions import PERMISSIONS, SELF
from tests.flows.world import Operation, Tenant, unknown_id
from tests.owasp.house import OPERATIONS, ROUTES, UNIT, House, path_ids, permission, send


def asked(operation: Operation) -> Permission:
    found = permission(operation)
    assert isinstance(found, Permission)
    return found


GUARDED = [one for one in OPERATIONS if isinstance(permission(one), Permission)]
PERMITTED = [one for one in GUARDED if asked(one).scope != SELF]


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


def knock(house: House, operation: Operation, who: Tenant) -> tuple[int, str]:
    """Status and code, for things that do not exist: whoever may, changes nothing."""
    nothing = {name: unknown_id(prefix) for name, prefix in path_ids(operation).items()}
    answer = send(who, operation, house.ours.path(operation, **nothing))
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else ""


def test_every_endpoint_says_what_it_asks_for_and_asks_for_what_there_is() -> None:
    for (method, path), _ in ROUTES.items():
        if path.startswith("/v1/"):
            operation = next(one for one in OPERATIONS if (one.method, one.path) == (method, path))
            found = permission(operation)
            assert isinstance(found, Permission | OpenToAll), (method, path)
            if isinstance(found, Permission):
                assert found.scope in PERMISSIONS | {SELF}, (method, path, found.scope)
                assert found.platform or not found.scope.startswith("platform:"), (method, path)


@named(PERMITTED)
def test_with_every_permission_but_its_own_it_is_refused(house: House, operation: Operation) -> None:
    wanted = asked(operation)
    others = house.principal(*(PERMISSIONS - {wanted.scope}), platform=wanted.platform)
    assert knock(house, operation, others) == (403, "forbidden")
    assert knock(house, operation, house.principal(platform=wanted.platform)) == (403, "forbidden")
    area = wanted.scope.partition(":")[0]
    almost = house.principal(f"{area}", f"{area}:", f"{area}:x", f"{area}*", "**", platform=wanted.platform)
    assert knock(house, operation, almost) == (403, "forbidden")


@named(PERMITTED)
def test_with_its_own_permission_alone_it_is_not_refused(house: House, operation: Operation) -> None:
    wanted = asked(operation)
    for scope in (wanted.scope, f"{wanted.scope.partition(':')[0]}:*"):
        status, code = knock(house, operation, house.principal(scope, platform=wanted.platform))
        # Who gives or takes what others may do has to have it himself.
        assert status not in (401, 403) or code == "beyond_own_permissions", (scope, status, code)


@named([one for one in PERMITTED if asked(one).tenants_only])
def test_what_is_the_tenants_own_is_kept_from_partners_of_any_permission(
    house: House, operation: Operation
) -> None:
    code = "platform_only" if asked(operation).platform else "tenants_only"
    assert knock(house, operation, house.caller(house.partner)) == (403, code)
    partner_id = decode_id("ptnr", house.partner.ids["ptnr"])
    user = house.user("*", *PERMISSIONS, partner_id=partner_id)
    assert knock(house, operation, user)[0] == 403


@named(PERMITTED)
def test_a_permission_in_a_business_unit_is_none_in_the_tenant(house: House, operation: Operation) -> None:
    wanted = asked(operation)
    somewhere = house.user(unit_scopes={UNIT: frozenset({wanted.scope})}, platform=wanted.platform)
    status, code = knock(house, operation, somewhere)
    if wanted.by_unit:
        assert status != 401
    else:
        assert (status, code) == (403, "forbidden")


PLATFORMS = [one for one in PERMITTED if asked(one).platform]
OWN = [one for one in GUARDED if asked(one).scope == SELF]
OPEN = [one for one in OPERATIONS if isinstance(permission(one), OpenToAll)]


@named(PLATFORMS)
def test_the_platforms_own_is_kept_from_tenants_of_any_permission(house: House, operation: Operation) -> None:
    for scopes in (["*"], sorted(PERMISSIONS), ["platform:*"]):
        assert knock(house, operation, house.principal(*scopes)) == (403, "platform_only")
    people = (house.admin, house.foreigner, house.clerk, house.manager, house.colleague)
    for who in (house.ours, house.theirs, house.partner, *(house.as_user(one) for one in people)):
        assert knock(house, operation, who) == (403, "platform_only")


@named(PLATFORMS)
def test_the_platforms_own_is_for_those_of_platform_who_may(house: House, operation: Operation) -> None:
    scope = asked(operation).scope
    everything = knock(house, operation, house.principal("*", platform=True))
    assert (everything[0] == 403) == scope.startswith("platform:")
    assert knock(house, operation, house.principal(scope, platform=True))[0] not in (401, 403)
    assert knock(house, operation, house.as_user(house.operator))[0] not in (401, 403)
    platforms_key = create_key(
        house.rooms[Access], house.operator.tenant_id, name=operation.name, scopes=[scope]
    )
    with_key = replace(house.ours, key=house.run(platforms_key).secret)
    assert knock(house, operation, with_key)[0] not in (401, 403)
    viewer = house.resident(Grant("viewer"), tenant_id=house.operator.tenant_id)
    assert knock(house, operation, house.as_user(viewer)) == (403, "forbidden")


def test_whoever_runs_the_platform_has_no_part_in_a_tenants_money(house: House) -> None:
    operator = house.as_user(house.operator)
    for operation in PERMITTED:
        area = asked(operation).scope.partition(":")[0]
        if area in ("payments", "refunds", "ledger", "webhooks", "events"):
            assert knock(house, operation, operator) == (403, "forbidden"), operation.name


@named(OWN)
def test_what_is_a_users_own_is_kept_from_keys(house: House, operation: Operation) -> None:
    for who in (house.principal("*"), house.ours, house.partner, house.theirs):
        assert knock(house, operation, who) == (403, "users_only")
    nobody = house.as_user(house.resident())  # without any role
    assert knock(house, operation, nobody)[1] not in ("forbidden", "users_only", "unauthenticated")


@named([one for one in PERMITTED if not asked(one).by_unit])
def test_a_units_administrator_is_kept_from_what_is_the_whole_tenants(
    house: House, operation: Operation
) -> None:
    code = "platform_only" if asked(operation).platform else "forbidden"
    assert knock(house, operation, house.unit) == (403, code)


@named(PERMITTED)
def test_a_user_without_a_role_may_do_nothing(house: House, nobody: Tenant, operation: Operation) -> None:
    code = "platform_only" if asked(operation).platform else "forbidden"
    assert knock(house, operation, nobody) == (403, code)


@pytest.fixture(scope="module")
def nobody(house: House) -> Tenant:
    return house.as_user(house.resident())


@named(OPEN)
def test_what_is_open_takes_no_power_from_a_credential(house: House, operation: Operation) -> None:
    answers = []
    for headers in (
        {"authorization": ""},
        {"authorization": f"Bearer {house.ours.key}"},
        {"authorization": f"Bearer {house.own.key}"},
        {"authorization": "Bearer nonsense"},
    ):
        body = None if operation.schema is None else operation.example
        answer = house.ours.request(operation.method, operation.path, json=body, headers=headers)
        shown = answer.json() if answer.content else {}
        answers.append((answer.status_code, shown.get("code"), shown.get("title")))
    assert len(set(answers)) == 1, answers


def test_nobody_makes_a_key_that_may_do_more_than_he(house: House) -> None:
    maker = house.principal("keys:write", "payments:read")
    for scopes in (["*"], ["payments:write"], ["payments:*"], ["keys:*"], ["platform:read"]):
        answer = maker.request("POST", "/v1/api-keys", json={"name": "more", "scopes": scopes})
        assert answer.status_code in (403, 422), (scopes, answer.text)
