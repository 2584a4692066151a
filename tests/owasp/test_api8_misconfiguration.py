"""API8:2023, security misconfiguration: headers, methods, errors and pages as they come out of the box."""

import re

import pytest

from florin.kernel.http.call import OpenToAll
from florin.kernel.settings import Settings
from tests.flows.world import Operation
from tests.owasp.house import OPERATIONS, ROUTES, House, permission

SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
EVIL = {"origin": "https://evil.example"}
PAGES = (
    "/",
    "/docs",
    "/docs/swagger-ui.css",
    "/docs/nothing",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
)
ODD = ("TRACE", "CONNECT", "TRACK", "DEBUG", "PROPFIND", "MOVE", "PURGE", "PATCHY")


def check_headers(answer: object, headers: dict[str, str]) -> None:
    assert {name: headers.get(name) for name in SAFE} == SAFE, answer
    assert "frame-ancestors 'none'" in headers["content-security-policy"], answer
    assert "default-src 'none'" in headers["content-security-policy"], answer
    for name in headers:
        assert not name.startswith("access-control-"), answer
        assert name not in ("server", "x-powered-by", "set-cookie"), answer


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.name for one in OPERATIONS])
def test_every_answer_has_the_headers_that_keep_browsers_safe(house: House, operation: Operation) -> None:
    who = house.able(operation)
    path = who.path(operation)
    nothing = {"headers": {**EVIL, "authorization": ""}}
    answers = [
        who.request(operation.method, path, json={"nonsense": 1}, headers=EVIL),
        who.request(operation.method, path, content=b"{", headers=EVIL),
        who.request(operation.method, path, content=b"x", headers={**EVIL, "content-type": "text/x"}),
        who.request("DELETE", f"{path}/nowhere", headers=EVIL),
        who.request(operation.method, path, **nothing),
        who.request("OPTIONS", path, headers={**EVIL, "access-control-request-method": "POST"}),
    ]
    for answer in answers:
        check_headers(answer, dict(answer.headers))
        assert answer.status_code < 500


@pytest.mark.parametrize("path", PAGES)
def test_pages_and_parts_of_them_too(house: House, path: str) -> None:
    answer = house.client.get(f"http://florin{path}", headers=EVIL)
    check_headers(path, dict(answer.headers))
    assert len(answer.headers.get_list("content-security-policy")) == 1
    if answer.headers["content-type"].startswith("text/html"):
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "script-src 'unsafe-inline'" not in answer.headers["content-security-policy"]
        assert "camera=()" in answer.headers["permissions-policy"]


def test_a_redirect_has_them_as_well(house: House) -> None:
    answer = house.client.get("http://florin/docs/", headers=EVIL)
    assert answer.status_code in (307, 308, 404)
    check_headers(answer, dict(answer.headers))


@pytest.mark.parametrize("method", ODD)
def test_a_method_that_nobody_knows_is_refused_and_echoes_nothing(house: House, method: str) -> None:
    for path in ("/", "/v1/payments", "/healthz", "/v1/nothing"):
        answer = house.ours.request(method, path, headers={"x-secret": "echo-me"})
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert "echo-me" not in answer.text


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.name for one in OPERATIONS])
def test_an_error_tells_nothing_of_how_it_is_built(house: House, operation: Operation) -> None:
    nasty = "' OR 1=1; DROP TABLE x; -- ${7*7} {{7*7}} <script>alert(1)</script> ../../etc/passwd %s %n"
    who = house.able(operation)
    path = who.path(operation)
    for answer in (
        who.request(operation.method, path, json=dict.fromkeys(operation.properties, nasty)),
        who.request(operation.method, path, params={"q": nasty, "starting_after": nasty}),
        who.request(operation.method, f"{path}/%27%3B--", json={}),
    ):
        assert answer.status_code < 500, answer.text
        tells = (
            r"Traceback|psycopg|File \"|\.py\b|SQLSTATE|pg_catalog|florin_app|asyncpg|pydantic|site-packages"
        )
        assert not re.search(tells, answer.text), answer.text
        assert answer.headers["content-type"] != "text/html"


def test_what_asks_for_no_credential_is_known_and_says_why() -> None:
    """A path under /v1 asks for one unless it says why not; the others are these."""
    outside = {path for _, path in ROUTES if not path.startswith("/v1/")}
    assert outside == {
        "/",
        "/docs",
        "/docs/{name}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/providers/{name}/webhooks",  # authentic by the provider's signature
    } | {path for path in outside if path.startswith("/.well-known/")}
    for operation in OPERATIONS:
        asked = permission(operation)
        if isinstance(asked, OpenToAll):
            assert len(asked.why) > 10, operation.name
            assert "{" not in operation.path


def test_what_is_set_when_nothing_is_set_is_safe() -> None:
    fields = Settings.model_fields
    assert fields["host"].default == "127.0.0.1"
    assert fields["allow_private_webhooks"].default is False
    assert fields["cors_origins"].default == ()
    assert fields["trusted_proxies"].default == ()
    assert fields["rate_limit_per_minute"].default > 0
