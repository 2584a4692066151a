"""Erasure, legal holds and retention over HTTP: who may, and what is refused."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from florin.access.service import Access, create_key
from florin.audit.reads import open_witness
from florin.kernel.http.call import Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate
from florin.kernel.settings import Settings
from florin.privacy import http as privacy_http
from florin.privacy.room import Privacy
from florin.tenancy import http as tenancy_http
from florin.tenancy.service import create_partner
from tests.privacy.conftest import House
from tests.tenancy.conftest import Api

REASON = {"reason": "request 7"}


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    access, app, rooms = Access(house.database, house.tenancy.notifier), FastAPI(), Rooms()
    install_problems(app)
    for router in (*tenancy_http.routers, privacy_http.router):
        app.include_router(router)
    witness = open_witness(house.database)
    for room in (witness, house.tenancy, access, Privacy(house.tenancy, Settings())):
        rooms.add(room)
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=access, limiter=access, max_body_bytes=65_536
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://florin") as opened:
        yield opened


async def holder_of(house: House, client: httpx.AsyncClient, *scopes: str, partner: bool = False) -> Api:
    access, partner_id = Access(house.database, house.tenancy.notifier), None
    if partner:
        made = await create_partner(house.tenancy, house.tenant_id, name="Shop", email="p@shop.example")
        partner_id = made.id
    key = await create_key(access, house.tenant_id, name="k", scopes=list(scopes), partner_id=partner_id)
    return Api(client, key.secret)


@pytest.fixture
async def api(house: House, client: httpx.AsyncClient) -> Api:
    return await holder_of(house, client, "*")


async def customer(api: Api) -> str:
    made = (await api("POST", "customers", {"reference": "C-1", "name": "Ann"})).json()
    found: str = made["id"]
    return found


async def test_a_customer_is_held_released_and_erased(api: Api) -> None:
    one = await customer(api)
    held = (await api("POST", "legal-holds", {"customer_id": one, "reason": "dispute 4711"})).json()
    assert held["customer_id"] == one
    refused = await api("POST", f"customers/{one}/erase", REASON)
    assert (refused.status_code, refused.json()["code"]) == (409, "under_legal_hold")
    listed = (await api("GET", "legal-holds", customer_id=one, in_force="true")).json()["data"]
    assert listed == [held]
    released = (await api("POST", f"legal-holds/{held['id']}/release", REASON)).json()
    assert released["released_by"].startswith("key_")
    erased = await api("POST", f"customers/{one}/erase", REASON)
    assert erased.status_code == 200
    assert (erased.json()["customer_id"], erased.json()["user_id"]) == (one, None)
    shown = (await api("GET", f"customers/{one}")).json()
    assert (shown["name"], shown["reference"]) == (None, "C-1")
    assert shown["erased_at"] == erased.json()["erased_at"]
    again = await api("PATCH", f"customers/{one}", {"name": "Again"})
    assert (again.status_code, again.json()["code"]) == (409, "customer_erased")


async def test_only_the_tenant_itself_erases_and_only_with_the_permission(
    house: House, client: httpx.AsyncClient, api: Api
) -> None:
    one = await customer(api)
    clerk = await holder_of(house, client, "tenancy:write", "tenancy:read", "personal:read")
    partner = await holder_of(house, client, "*", partner=True)
    for holder in (clerk, partner):
        for method, path, body in (
            ("POST", f"customers/{one}/erase", REASON),
            ("POST", "users/user_01h455vb4pex5vsknk084sn02q/erase", REASON),
            ("POST", "legal-holds", {"customer_id": one, "reason": "dispute"}),
            ("GET", "legal-holds", None),
        ):
            assert (await holder(method, path, body)).status_code == 403, path
    assert (await partner("GET", "retention")).status_code == 403
    assert (await api("GET", f"customers/{one}")).json()["name"] == "Ann"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "customers/cus_01h455vb4pex5vsknk084sn02q/erase", REASON, 404, None),
        ("POST", "users/user_01h455vb4pex5vsknk084sn02q/erase", REASON, 404, None),
        ("POST", "legal-holds/lgh_01h455vb4pex5vsknk084sn02q/release", REASON, 404, None),
        ("POST", "customers/cus_01h455vb4pex5vsknk084sn02q/erase", {}, 422, "reason"),
        ("POST", "customers/cus_01h455vb4pex5vsknk084sn02q/erase", {"reason": "  "}, 422, "reason"),
        ("POST", "legal-holds", {"reason": "nobody"}, 422, "customer_id"),
        ("PUT", "retention", {"transactions_years": 4}, 422, "transactions_years"),
        ("PUT", "retention", {"audit_years": 101}, 422, "audit_years"),
        ("PUT", "retention", {"audit_years": 2.5}, 422, "audit_years"),
        ("PUT", "retention", {"audit_years": "3"}, 422, "audit_years"),
        ("PUT", "retention", {"events_years": 3}, 422, "events_years"),
        ("PUT", "config/retention.audit_years", {"type": "NUMBER", "value": 0}, 422, "key"),
    ],
)
async def test_bad_input_is_refused(
    api: Api, method: str, path: str, body: object, status: int, param: str | None
) -> None:
    refused = await api(method, path, body)
    assert refused.status_code == status, refused.text
    if param is not None:
        assert refused.json()["param"] == param


async def test_a_tenant_sees_and_sets_its_years(api: Api) -> None:
    assert (await api("GET", "retention")).json() == {
        "personal_years": 7,
        "transactions_years": 10,
        "audit_years": 3,
        "erasure_waits_years": 0,
        "events_years": 1,
        "least": {"personal_years": 1, "transactions_years": 5, "audit_years": 1},
    }
    changed = await api("PUT", "retention", {"personal_years": 5, "erasure_waits_years": 5})
    assert changed.status_code == 200
    assert (await api("GET", "retention")).json() == changed.json()
    assert (changed.json()["personal_years"], changed.json()["audit_years"]) == (5, 3)
