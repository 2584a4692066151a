"""/v1/customers: who sees what, and what a body may hold."""

import httpx
import pytest

from florin.access.service import Access, create_key
from florin.tenancy.model import Tenant
from tests.tenancy.conftest import Api

CUSTOMER = {
    "reference": "C-9",
    "name": "Ann Smith",
    "email": "ann@shop.example",
    "phone": "+27 11 555 0100",
    "account": {"number": "DE89 3704 0044 0532 0130 00", "bank_code": "COBADEFF"},
}
MASKED = {
    "name": "A*** S***",
    "email": "a***@shop.example",
    "phone": "+***0100",
    "account": {"number": "***3000", "bank_code": "COBADEFF"},
}


@pytest.fixture
async def clerk(client: httpx.AsyncClient, access: Access, twins: tuple[Tenant, Tenant]) -> Api:
    """With a key that may read and write customers, and not read personal data."""
    made = await create_key(
        access, twins[0].tenant_id, name="clerk", scopes=["tenancy:read", "tenancy:write"]
    )
    return Api(client, made.secret)


async def test_personal_fields_are_masked_for_whoever_may_not_read_them(api: Api, clerk: Api) -> None:
    made = (await api("POST", "customers", CUSTOMER)).json()
    assert (made["name"], made["account"]["number"]) == ("Ann Smith", "DE89370400440532013000")
    one = f"customers/{made['id']}"
    for answer in (
        (await clerk("GET", one)).json(),
        (await clerk("GET", "customers")).json()["data"][0],
        (await clerk("PATCH", one, {"metadata": {"a": "b"}})).json(),
        (await clerk("POST", "customers/search", {"email": "ann@shop.example"})).json()["data"][0],
    ):
        assert {name: answer[name] for name in MASKED} == MASKED
    assert (await api("GET", one)).json()["email"] == "ann@shop.example"


async def test_a_search_finds_the_own_customers_only(api: Api, partner_api: Api, other_api: Api) -> None:
    await api("POST", "customers", CUSTOMER)
    await partner_api("POST", "customers", CUSTOMER)
    wanted = {"account_number": "de89370400440532013000"}
    counts = [
        len((await one("POST", "customers/search", wanted)).json()["data"])
        for one in (api, partner_api, other_api)
    ]
    assert counts == [2, 1, 0]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("customers/search", {}, ""),
        ("customers/search", {"email": "a@b.example", "phone": "+27115550100"}, ""),
        ("customers/search", {"phone": "12345"}, "phone"),
        ("customers", {"reference": "x", "email": "a@@b.example"}, "email"),
        ("customers", {"reference": "x", "phone": "+0000000"}, "phone"),
        ("customers", {"reference": "x", "account": {"number": "DE88370400440532013000"}}, "account.number"),
        ("customers", {"reference": "x", "person_id": "prs_01h455vb4pex5vsknk084sn02q"}, "person_id"),
        ("customers", {"reference": "x", "erased_at": "2020-01-01T00:00:00Z"}, "erased_at"),
    ],
)
async def test_bad_input_is_refused_with_its_field(api: Api, path: str, body: object, param: str) -> None:
    refused = await api("POST", path, body)
    assert refused.status_code == 422
    assert param in refused.json().get("param", ""), refused.text


async def test_a_search_goes_on_where_the_page_ended(api: Api) -> None:
    for number in range(3):
        await api("POST", "customers", {"reference": f"R{number}", "email": "one@shop.example"})
    body = {"email": "one@shop.example"}
    first = (await api("POST", "customers/search", body, limit="2")).json()
    assert first["has_more"]
    after = first["data"][-1]["id"]
    rest = (await api("POST", "customers/search", body, limit="2", starting_after=after)).json()
    assert [one["reference"] for one in (*first["data"], *rest["data"])] == ["R2", "R1", "R0"]
    assert not rest["has_more"]
