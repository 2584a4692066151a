"""API2:2023, broken authentication: what is no credential opens nothing."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from florin.kernel.http.call import OpenToAll
from tests.flows.world import Operation
from tests.owasp.house import OPERATIONS, House, permission, send

CLOSED = [one for one in OPERATIONS if not isinstance(permission(one), OpenToAll)]


def unsigned_token(**claims: object) -> str:
    """A JWT that says `alg: none`."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


@pytest.fixture(scope="module")
def forged(house: House) -> list[str]:
    """Authorization headers that look like somebody's."""
    key = house.ours.key
    new = {"name": "short-lived", "scopes": ["*"]}
    revoked = house.ours.made("/v1/api-keys", new)
    house.ours.made(f"/v1/api-keys/{revoked['id']}/revoke")
    rotated = house.ours.made("/v1/api-keys", new)
    house.ours.made(f"/v1/api-keys/{rotated['id']}/rotate", {"overlap_hours": 0})
    basic = base64.b64encode(f"{key}:".encode()).decode()
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).timestamp()
    everything = {"sub": "user_1", "tenant_id": house.tenant_id, "scope": "*", "exp": in_an_hour}
    return [
        "",
        "Bearer",
        "Bearer null",
        f"Basic {basic}",
        key,
        f"Token {key}",
        f"Bearer {key[:-1]}",
        f"Bearer {key}A",
        f"Bearer {key.swapcase()}",
        f"Bearer {key.replace('fl_test_', 'fl_live_')}",
        f"Bearer {key} {key}",
        f"Bearer fl_test_{house.tenant_id}_{'A' * 43}",
        f"Bearer {revoked['secret']}",
        f"Bearer {rotated['secret']}",
        f"Bearer {unsigned_token(**everything)}",
        "Bearer " + "A" * 4000,
    ]


@pytest.mark.parametrize("operation", CLOSED, ids=[one.name for one in CLOSED])
def test_a_forged_or_ended_credential_opens_nothing(
    house: House, forged: list[str], operation: Operation
) -> None:
    path, body = house.ours.path(operation), house.ours.body(operation)
    for authorization in forged:
        answer = house.ours.request(
            operation.method, path, json=body, headers={"authorization": authorization}
        )
        assert answer.status_code == 401, (authorization, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"


def test_a_key_in_the_query_a_cookie_or_another_header_is_none(house: House) -> None:
    key = house.ours.key
    attempts: tuple[dict[str, Any], ...] = (
        {"params": {"access_token": key}},
        {"params": {"api_key": key}},
        {"headers": {"cookie": f"authorization={key}; session={key}"}},
        {"headers": {"x-api-key": key}},
        {"headers": {"proxy-authorization": f"Bearer {key}"}},
    )
    for options in attempts:
        answer = house.client.request("GET", "http://florin/v1/payments", **options)
        assert answer.status_code == 401, options


def test_no_answer_sets_a_cookie_or_shows_a_key_again(house: House) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET":
            who = house.able(operation)
            answer = who.request("GET", who.path(operation))
            assert "set-cookie" not in answer.headers
            assert who.key not in answer.text, operation.name


def test_whoever_has_no_credential_yet_is_counted_by_address(house: House) -> None:
    for operation in OPERATIONS:
        if isinstance(permission(operation), OpenToAll):
            before = house.door.strangers
            send(house.ours, operation, operation.path)
            assert house.door.strangers == before + 1, operation.name
