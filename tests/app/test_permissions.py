"""Every endpoint says what it asks for; the page that lists them says the same."""

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from florin.app.asgi import ROUTERS
from florin.app.openapi import install_openapi
from florin.app.permissions_page import OUTSIDE, Asked, asked, permissions_page
from florin.kernel.http.call import OpenToAll, Permission
from florin.kernel.permissions import PERMISSIONS, SELF

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"


def application() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    for router in ROUTERS:
        app.router.routes.extend(router.routes)
    install_openapi(app)
    return app


ROUTES = application().routes
ALL = list(asked(ROUTES))
INSIDE = [one for one in ALL if one.path.startswith("/v1/")]


def name(one: Asked) -> str:
    return f"{one.method} {one.path}"


@pytest.mark.parametrize("one", INSIDE, ids=name)
def test_an_endpoint_under_v1_says_what_it_asks_for(one: Asked) -> None:
    assert one.asks is not None
    if isinstance(one.asks, OpenToAll):
        assert one.asks.why
        assert "{" not in one.path, "the gate lets strangers through by the whole path"
    else:
        assert one.asks.scope in PERMISSIONS | {SELF}
        assert one.asks.platform == one.asks.scope.startswith("platform:")
        if one.asks.platform:
            assert one.asks.tenants_only
            assert not one.asks.by_unit


@pytest.mark.parametrize("one", INSIDE, ids=name)
def test_what_changes_something_asks_for_more_than_reading(one: Asked) -> None:
    if not isinstance(one.asks, Permission) or one.asks.scope == SELF or one.method == "GET":
        return
    reading = one.asks.scope.endswith((":read", ":export"))
    assert not reading or (one.method, one.path) in READING_BY_POST


READING_BY_POST = {
    ("POST", "/v1/transfers/dry-run"): "nothing is posted",
    ("POST", "/v1/customers/search"): "addresses and numbers have no place in a URL",
    ("POST", "/v1/users/search"): "addresses and numbers have no place in a URL",
}


def test_every_permission_is_asked_for_somewhere() -> None:
    used = {one.asks.scope for one in INSIDE if isinstance(one.asks, Permission)}
    assert used - {SELF} <= PERMISSIONS
    assert {"users:read", "users:write", "roles:write", "platform:write"} <= used


def test_what_is_outside_of_v1_is_listed_with_a_reason() -> None:
    assert {one.path for one in ALL if not one.path.startswith("/v1/")} == set(OUTSIDE)
    assert all(isinstance(route, Route) for route in ROUTES), "nothing is mounted past the list"


def test_a_route_that_says_nothing_is_found() -> None:
    router = APIRouter()

    @router.get("/v1/open")
    async def endpoint() -> None: ...

    [found] = asked(router.routes)
    assert found.asks is None
    assert "undeclared" in permissions_page(router.routes)


def test_the_page_lists_every_endpoint_as_it_is() -> None:
    # After a change: PYTHONPATH=src python -m tests.app.test_permissions
    assert PAGE.read_text() == permissions_page(ROUTES)


if __name__ == "__main__":
    PAGE.write_text(permissions_page(ROUTES))
