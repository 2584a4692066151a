"""The audit log over HTTP: found by what, who and when, and taken along as a file."""

import csv
import io
from collections.abc import AsyncIterator
from itertools import pairwise

import orjson
import psycopg
import pytest

from florin.audit import service as audit
from florin.kernel.ids import encode_id, new_id
from florin.kernel.provenance import Provenance
from florin.ledger import service
from florin.ledger.model import AccountStatus
from florin.ledger.service import Ledger
from tests.audit.history import record, set_back
from tests.audit.test_prune import OLD, prune, years_ago
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books
from tests.ledger.chart.test_http import client_of
from tests.ledger.conftest import new_tenant
from tests.ledger.test_http import Client, problem


@pytest.fixture
async def client(ledger: Ledger, database_urls: AllDatabaseUrls) -> AsyncIterator[Client]:
    made = client_of(ledger, new_tenant(database_urls.root), frozenset({"*"}))
    async with made.http:
        yield made


@pytest.fixture
async def books(ledger: Ledger, client: Client) -> Books:
    return Books(ledger, client.tenant_id)


async def frozen(books: Books) -> str:
    account_id = await books.open()
    by = Provenance(
        "user_1",
        reason="=ticket",
        address="192.0.2.7",
        user_agent="@curl",
        request_id="req_7",
        session_id="ses_9",
    )
    await service.change_account(
        books.ledger, books.tenant_id, account_id, status=AccountStatus.FROZEN, by=by
    )
    return encode_id("acct", account_id)


@pytest.mark.parametrize(
    "query",
    [
        {"actor": "user_1"},
        {"action": "changed"},
        {"request_id": "req_7"},
        {"session_id": "ses_9"},
        {"address": "192.0.2.7"},
        {"field": "status", "action": "changed"},
        {"entity_type": "account", "actor": "user_1", "from": "2020-01-01T00:00:00Z"},
    ],
)
async def test_an_entry_is_found_by_each_filter(client: Client, books: Books, query: dict[str, str]) -> None:
    shown = await frozen(books)
    found = (await client.http.get("/v1/audit", params=query)).json()["data"]
    assert [(one["entity_id"], one["changed"]) for one in found] == [(shown, ["status"])]
    [entry] = found
    assert (await client.http.get(f"/v1/audit/{entry['id']}")).json() == entry


@pytest.mark.parametrize(
    "query",
    [
        {"actor": "user_2"},
        {"field": "name", "action": "changed"},
        {"to": "2020-01-01T00:00:00Z"},
        {"address": "::1"},
    ],
)
async def test_what_does_not_fit_is_left_out(client: Client, books: Books, query: dict[str, str]) -> None:
    await frozen(books)
    assert (await client.http.get("/v1/audit", params=query)).json() == {"data": [], "has_more": False}


async def test_pages_go_on_where_the_last_one_ended(client: Client, database_urls: AllDatabaseUrls) -> None:
    record(database_urls.app, client.tenant_id, 5)
    seen: list[int] = []
    after: dict[str, str] = {}
    while True:
        query = {"limit": "2", "action": "trial", **after}
        page = (await client.http.get("/v1/audit", params=query)).json()
        seen += [one["seq"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}
    assert seen == [5, 4, 3, 2, 1]


async def test_an_entry_of_nobody_or_of_another_tenant_is_not_found(
    client: Client, other_books: Books, database_urls: AllDatabaseUrls
) -> None:
    record(database_urls.app, other_books.tenant_id, 1)
    [theirs] = await audit.entries(other_books.ledger.database, other_books.tenant_id, limit=1)
    for entry_id in (new_id(), theirs.id):
        answer = await client.http.get(f"/v1/audit/{encode_id('aud', entry_id)}")
        assert problem(answer) == (404, "audit_entry_not_found", None)


async def test_the_log_leaves_as_lines_that_can_be_continued(
    client: Client, database_urls: AllDatabaseUrls
) -> None:
    record(database_urls.app, client.tenant_id, 1201)
    first = await client.http.get("/v1/audit/export", params={"action": "trial"})
    assert first.headers["content-type"].startswith("application/x-ndjson")
    rows = [orjson.loads(line) for line in first.content.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, 1202))
    assert all(one["digest"] == next_["previous"] for one, next_ in pairwise(rows))
    rest = await client.http.get("/v1/audit/export", params={"action": "trial", "after_seq": 1199})
    assert [orjson.loads(line) for line in rest.content.splitlines()] == rows[1199:]


async def test_no_cell_of_a_table_begins_like_a_formula(client: Client, books: Books) -> None:
    await frozen(books)
    answer = await client.http.get("/v1/audit/export", params={"format": "csv", "actor": "user_1"})
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["reason"], row["user_agent"], row["changed"]) == ("'=ticket", "'@curl", "status")
    assert orjson.loads(row["after"])["status"] == "frozen"


async def test_an_export_begins_where_the_log_was_pruned(
    client: Client, books: Books, database_urls: AllDatabaseUrls
) -> None:
    record(database_urls.app, client.tenant_id, 4)
    set_back(database_urls.root, client.tenant_id, through=2, by=OLD)
    assert await prune(books, years_ago(3.1)) == 2
    answer = await client.http.get("/v1/audit/export")
    rows = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [(row["seq"], row["action"]) for row in rows][:3] == [(3, "trial"), (4, "trial"), (5, "pruned")]


async def test_an_export_since_a_time_leaves_out_what_is_older(
    client: Client, books: Books, database_urls: AllDatabaseUrls
) -> None:
    record(database_urls.app, client.tenant_id, 3)
    entries = await audit.entries(books.ledger.database, books.tenant_id, limit=3)
    found = [
        entry.entry.seq
        async for _, window in audit.export(books.ledger.database, books.tenant_id, since=entries[1].at)
        for entry in window
    ]
    assert found == [2, 3]
    async for _ in audit.export(books.ledger.database, books.tenant_id, since=years_ago(-1)):
        raise AssertionError("nothing is written in the future")


async def test_schema_changes_are_the_platforms_alone(
    client: Client, ledger: Ledger, database_urls: AllDatabaseUrls
) -> None:
    answer = await client.http.get("/v1/platform/schema-changes")
    assert problem(answer)[:2] == (403, "platform_only")
    with psycopg.connect(database_urls.root) as root:
        root.execute(
            "INSERT INTO audit.schema_changes (id, at, login, role, command, object)"
            " SELECT kernel.uuidv7(), now(), 'x', 'x', 'CREATE TABLE', i::text FROM generate_series(1, 3) i"
        )
    house = client_of(ledger, client.tenant_id, frozenset({"platform:read"}), platform=True)
    async with house.http:
        first = await house.get("/v1/platform/schema-changes", limit=2)
        rest = await house.get("/v1/platform/schema-changes", starting_after=first["data"][-1]["id"])
    assert [one["object"] for one in first["data"] + rest["data"]] == ["3", "2", "1"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
