"""API9:2023, improper inventory management: what is served is documented, and nothing else is there."""

import re

from fastapi.routing import APIRoute

from florin.app.asgi import ROUTERS
from tests.flows.world import DOCUMENT
from tests.owasp.house import House

PAGES = {"/", "/docs", "/docs/{name}"}


def test_every_route_is_in_the_document_or_is_a_page() -> None:
    documented = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    served = {
        (method, route.path_format)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert {one for one in served - documented if one[1] not in PAGES} == set()
    assert documented <= served


def test_the_running_platform_shows_the_same_document(house: House) -> None:
    served = house.client.get("http://florin/openapi.json").json()
    assert served["paths"].keys() == DOCUMENT["paths"].keys()
    assert served["info"]["version"]


def test_there_is_one_version_and_no_other_way_in(house: House) -> None:
    versions = {path.split("/")[1] for path in DOCUMENT["paths"] if re.match(r"/v\d", path)}
    assert versions == {"v1"}
    for path in (
        "/v0/payments",
        "/v2/payments",
        "/payments",
        "/api/v1/payments",
        "/V1/payments",
        "//v1/payments",
    ):
        answer = house.ours.request("GET", path)
        assert answer.status_code == 404, path


def test_nothing_is_left_open_that_is_for_developers(house: House) -> None:
    for path in (
        *("/debug", "/console", "/admin", "/internal", "/_debug", "/graphql", "/actuator", "/swagger"),
        *("/redoc", "/docs/oauth2-redirect", "/v1/openapi.json", "/.env", "/.git/config", "/server-status"),
        *("/static/", "/metrics/", "/debug/pprof", "/phpinfo.php", "/v1/debug"),
    ):
        answer = house.ours.request("GET", path)
        assert answer.status_code in (307, 404), (path, answer.status_code)
        if answer.status_code == 307:
            assert answer.headers["location"].endswith(path.rstrip("/"))


def test_what_is_deprecated_is_gone() -> None:
    for path, item in DOCUMENT["paths"].items():
        for told in item.values():
            assert not told.get("deprecated", False), path
