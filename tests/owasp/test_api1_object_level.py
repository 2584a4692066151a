"""API1:2023, broken object level authorization: the ids of others are ids of nothing."""

import re
from typing import Any

import httpx
import pytest

from florin.kernel.http.call import Permission
from florin.kernel.permissions import SELF
from tests.flows.world import ID, Operation, Tenant, leaves, prefix_of, unknown_id, with_value
from tests.owasp.documented import objects, schemas_at
from tests.owasp.house import OPERATIONS, House, path_ids, permission, send

GUARDED = [one for one in OPERATIONS if isinstance(permission(one), Permission)]
WITH_ID = [one for one in GUARDED if path_ids(one)]
GETS = [one for one in GUARDED if one.method == "GET"]
FILTERS = re.compile(r'"filters": ?\{[^}]*\}')
"""What the audit log notes of a request: ids that the caller himself has sent."""


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


@pytest.fixture(scope="module")
def before(house: House) -> dict[str, tuple[int, str]]:
    return house.digest()


def sense(answer: httpx.Response, *ids: str) -> tuple[int, Any]:
    """What an answer tells, without the ids that were asked for."""
    text = answer.text
    for one in ids:
        text = text.replace(one, "ID")
    problem = httpx.Response(200, text=text).json()
    return answer.status_code, {name: problem.get(name) for name in ("code", "title", "detail", "param")}


@named(OPERATIONS)
def test_every_parameter_of_a_path_is_known_to_the_table_of_objects(
    house: House, operation: Operation
) -> None:
    path = house.ours.path(operation)  # KeyError: furnish() makes no such thing, or NAMES does not know it
    assert "{" not in path


def _pairs(house: House, operation: Operation) -> list[tuple[Tenant, Tenant]]:
    """Who asks, and whose things he asks for."""
    asked = permission(operation)
    if not isinstance(asked, Permission) or asked.platform:
        return []  # all tenants are PLATFORM's
    if asked.scope == SELF:
        return [(house.as_user(who), house.own) for who in (house.colleague, house.manager, house.clerk)] + [
            (house.as_user(house.foreigner, house.theirs), house.own)
        ]
    return [
        (house.theirs, house.ours),
        (house.as_user(house.foreigner, house.theirs), house.ours),
        (house.other_partner, house.partner),
        (house.as_user(house.other_clerk, house.other_partner), house.partner),
        (house.other_partner, house.ours),
        (house.other_partner, house.theirs),
        *([(house.unit, house.ours), (house.unit, house.theirs)] if asked.by_unit else []),
    ]


@named(WITH_ID)
def test_an_id_of_somebody_else_in_a_path_is_answered_as_one_that_never_was(
    house: House, before: object, operation: Operation
) -> None:
    tried = 0
    for asking, owner in _pairs(house, operation):
        prefixes = path_ids(operation)
        if not set(prefixes.values()) <= owner.ids.keys():
            continue  # partners have no such thing
        body = house.ours.body(operation)
        for name, prefix in prefixes.items():
            theirs = {one: owner.ids[kind] for one, kind in prefixes.items()}
            nobodys = {**theirs, name: unknown_id(prefix)}
            found = send(asking, operation, house.ours.path(operation, **theirs), body)
            never = send(asking, operation, house.ours.path(operation, **nobodys), body)
            assert found.status_code in (403, 404), (operation.name, found.text)
            assert sense(found, *theirs.values(), *nobodys.values()) == sense(
                never, *theirs.values(), *nobodys.values()
            )
            if not asking.ids.keys() <= house.partner.ids.keys() or asking is house.unit:
                assert found.status_code == 404  # for partners, more is closed as a whole
            tried += 1
    assert tried


@named([one for one in GUARDED if one.schema is not None])
def test_an_id_of_somebody_else_in_a_body_is_refused(
    house: House, before: object, operation: Operation
) -> None:
    for asking, owner in _pairs(house, operation):
        who = house.caller(asking)
        body = who.body(operation) or {}
        if operation.name == "createTransfers":
            body["transfers"] = body["transfers"][:1]  # its neighbours would be posted
        for path, prefix in _ids(operation, body):
            if prefix not in owner.ids:
                continue  # partners have no such thing
            changed = with_value(body, path, owner.ids[prefix])
            answer = send(who, operation, who.path(operation), changed)
            if operation.name in ("createTransfers", "dryRunTransfers") and answer.status_code < 300:
                assert isinstance(path[1], int)
                assert answer.json()["data"][path[1]]["status"] in (404, 422)
                continue
            assert answer.status_code in (403, 404, 422), (operation.name, path, answer.text)


def _ids(operation: Operation, body: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Where ids stand in the body, or may stand, and their prefixes."""
    found = [(path, match[1]) for path, value in leaves(body) if (match := ID.fullmatch(str(value)))]
    assert operation.schema is not None
    for path, inner in objects(body):
        for schema in schemas_at(operation.schema, path):
            found += [
                ((*path, name), prefix)
                for name, one in schema.get("properties", {}).items()
                if name not in inner and (prefix := prefix_of(one)) is not None
            ]
    return found


@named(GETS)
def test_what_is_listed_or_shown_holds_no_id_of_somebody_else(house: House, operation: Operation) -> None:
    for asking, owner in _pairs(house, operation):
        if not set(path_ids(operation).values()) <= asking.ids.keys():
            continue
        mine = {**asking.ids, **{f"{n}": one for n, one in enumerate(asking.accounts)}}.values()
        foreign = {one for one in (*owner.ids.values(), *owner.accounts) if one not in mine}
        path = house.ours.path(operation, **{n: asking.ids[p] for n, p in path_ids(operation).items()})
        answer = asking.request("GET", path)
        assert answer.status_code < 500
        shown = {match[0] for match in ID.finditer(FILTERS.sub("", answer.text))}
        assert not shown & foreign, (operation.name, shown & foreign)
        for parameter in operation.parameters:
            prefix = prefix_of(parameter["schema"]) if parameter["in"] == "query" else None
            if prefix is None or prefix not in owner.ids:
                continue
            asked = owner.ids[prefix]
            answer = asking.request("GET", path, params={parameter["name"]: asked})
            assert answer.status_code in (200, 403, 404, 422), (operation.name, answer.text)
            shown = {match[0] for match in ID.finditer(FILTERS.sub("", answer.text))} - {asked}
            assert not shown & foreign, (operation.name, parameter["name"], shown & foreign)


def test_sessions_of_others_are_not_reached_by_way_of_a_user_of_ones_own(house: House) -> None:
    mixed = [
        (house.ours, house.colleague.name, house.admin.session),
        (house.ours, house.colleague.name, house.foreigner.session),
        (house.partner, house.clerk.name, house.other_clerk.session),
        (house.as_user(house.clerk), house.clerk.name, house.admin.session),
        (house.as_user(house.admin), house.admin.name, house.colleague.session),
    ]
    for who, user, session in mixed:
        answer = who.request("POST", f"/v1/users/{user}/sessions/{session}/end")
        assert answer.status_code == 404, (user, session, answer.text)
        answer = house.as_user(house.colleague).request("POST", f"/v1/me/sessions/{house.admin.session}/end")
        assert answer.status_code == 404, answer.text


def test_nothing_of_all_that_has_changed_anything(house: House, before: dict[str, tuple[int, str]]) -> None:
    after = house.digest()
    assert {name for name in after if after[name] != before.get(name)} == set()
