"""Checkpoints, keys and proofs behind the gate, on a real database."""

from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import httpx
import orjson
import pytest
from fastapi import FastAPI

from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.ids import encode_id, new_id
from florin.ledger import http
from florin.ledger.seals.note import read_key
from florin.ledger.seals.receipt import verify_growth, verify_inclusion
from tests.ledger.seals.conftest import SealedBooks


class _Anyone:
    """Lets every caller in, as one tenant or as a partner of it."""

    def __init__(self, tenant_id: int) -> None:
        self.principal = Principal(tenant_id, None, uuid4(), frozenset({"ledger:*"}), live=True)

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        return self.principal

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        return []


@pytest.fixture
async def api(sealed: SealedBooks) -> AsyncIterator[httpx.AsyncClient]:
    rooms = Rooms()
    rooms.add(sealed.books.ledger)
    rooms.add(sealed.seals)
    app = FastAPI()
    for router in http.routers:
        app.router.routes.extend(router.routes)
    install_problems(app)
    anyone = _Anyone(sealed.tenant_id)
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=anyone, limiter=anyone, max_body_bytes=1 << 20
    )
    transport = httpx.ASGITransport(app=gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"], answer.json().get("param")


async def test_a_transfer_is_proved_to_whoever_has_the_key(
    api: httpx.AsyncClient, sealed: SealedBooks
) -> None:
    transfers = await sealed.post(300)
    await sealed.seal()
    await sealed.post(20)
    await sealed.seal()
    (key,) = (await api.get("/v1/seals/keys")).json()["data"]
    assert (key["algorithm"], read_key(key["verifier_key"]).hex()) == ("ed25519", key["public_key"])

    public_key = bytes.fromhex(key["public_key"])
    transfer = encode_id("tr", transfers[270].id)
    for size in (300, 320):
        answer = await api.get(f"/v1/transfers/{transfer}/proof", params={"size": size})
        assert answer.status_code == 200, answer.text
        proven = verify_inclusion(answer.content, public_key)
        assert (proven.transfer_id, proven.index, proven.head.size) == (transfers[270].id, 270, size)
    newest = await api.get(f"/v1/transfers/{transfer}/proof")
    assert newest.json()["size"] == 320

    answer = await api.get("/v1/seals/consistency", params={"from": 300, "to": 320})
    assert [head.size for head in verify_growth(answer.content, (public_key,))] == [300, 320]


async def test_checkpoints_come_in_pages_newest_first(api: httpx.AsyncClient, sealed: SealedBooks) -> None:
    missing = await api.get("/v1/seals/checkpoints/latest")
    assert problem(missing) == (404, "checkpoint_not_found", None)
    assert (await api.get("/v1/seals/checkpoints")).json() == {"data": [], "has_more": False}
    for count in (1, 2, 3):
        await sealed.post(count)
        await sealed.seal()
    first = (await api.get("/v1/seals/checkpoints", params={"limit": 2})).json()
    assert ([one["size"] for one in first["data"]], first["has_more"]) == ([6, 3], True)
    rest = (
        await api.get("/v1/seals/checkpoints", params={"starting_after": first["data"][-1]["number"]})
    ).json()
    assert ([one["size"] for one in rest["data"]], rest["has_more"]) == ([1], False)
    latest = (await api.get("/v1/seals/checkpoints/latest")).json()
    assert latest == first["data"][0]
    assert latest["note"].split("\n")[2] == latest["root"]


async def test_what_is_not_sealed_yet_is_a_conflict(api: httpx.AsyncClient, sealed: SealedBooks) -> None:
    (transfer,) = await sealed.post(1)
    path = f"/v1/transfers/{encode_id('tr', transfer.id)}/proof"
    assert problem(await api.get(path)) == (409, "not_sealed_yet", None)
    await sealed.seal()
    assert (await api.get(path)).status_code == 200
    assert problem(await api.get(path, params={"size": 9})) == (404, "checkpoint_not_found", "size")
    sealed.alter("transfers", "description = 'x'", "id = %s", transfer.id)
    assert problem(await api.get(path)) == (409, "log_altered", None)


async def test_wrong_questions_are_refused_by_name(api: httpx.AsyncClient, sealed: SealedBooks) -> None:
    await sealed.post(1)
    await sealed.seal()
    await sealed.post(1)
    await sealed.seal()
    unknown = f"/v1/transfers/{encode_id('tr', new_id())}/proof"
    assert problem(await api.get(unknown)) == (404, "transfer_not_found", None)
    for params, expected in (
        ({"from": 2, "to": 1}, (422, "checkpoints_out_of_order", "from")),
        ({"from": 5, "to": 7}, (404, "checkpoint_not_found", "from")),
        ({"from": 1, "to": 7}, (404, "checkpoint_not_found", "to")),
        ({"from": 1}, (422, "invalid_request", "to")),
        ({"from": 0, "to": 1}, (422, "invalid_request", "from")),
        ({"from": 1, "to": 2**63}, (422, "invalid_request", "to")),
    ):
        assert problem(await api.get("/v1/seals/consistency", params=params)) == expected


async def test_a_new_key_is_made_and_signs_next(api: httpx.AsyncClient, sealed: SealedBooks) -> None:
    await sealed.post(1)
    await sealed.seal()
    made = await api.post("/v1/seals/keys")
    assert made.status_code == 201, made.text
    listed = orjson.loads((await api.get("/v1/seals/keys")).content)
    assert listed["data"][0] == made.json()
    assert (len(listed["data"]), listed["has_more"]) == (2, False)
    await sealed.post(1)
    await sealed.seal()
    assert (await api.get("/v1/seals/checkpoints/latest")).json()["key_id"] == made.json()["id"]
    assert "private" not in made.text
