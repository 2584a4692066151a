"""Reports over HTTP: media types, file names, refusals; behind the gate, on a real database."""

import csv
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import count
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree as ET

import httpx
import pytest
from fastapi import FastAPI
from pypdf import PdfReader

from florin.audit.reads import open_witness
from florin.kernel.crypto import KeyRing
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.ids import encode_id, new_id
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.ledger import http
from florin.ledger.model import AccountType
from florin.ledger.reports import http as reports_http
from florin.ledger.reports.schemas import (
    GeneralLedgerResponse,
    JournalResponse,
    PeriodTrialBalanceResponse,
    StatementResponse,
)
from florin.ledger.service import Ledger
from florin.tenancy.service import Tenancy, create_tenant
from tests.ledger.books import Books
from tests.ledger.reports.samples import moved, opened
from tests.tenancy.conftest import DETAILS

_numbers = count(1)
SINCE = {"from": "2020-01-01T00:00:00Z"}


class _Anyone:
    """Lets every caller in, as one tenant or one of its partners."""

    def __init__(self, tenant_id: int) -> None:
        self.principal = Principal(tenant_id, None, uuid4(), frozenset({"ledger:read"}), live=True)

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        return self.principal

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        return []


@dataclass
class Shop:
    """A tenant with a bank, a wallet and two transfers, and a client that speaks for it."""

    http: httpx.AsyncClient
    books: Books
    bank: UUID
    wallet: UUID

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params=SINCE | params)


@pytest.fixture
async def shop(ledger: Ledger) -> AsyncIterator[Shop]:
    database = ledger.database
    ring = KeyRing({"k1": bytes(32)})
    tenancy = Tenancy(database, Notifier(database), ring, Vault(database, ring))
    tenant, _ = await create_tenant(tenancy, f"SHOP{next(_numbers)}", DETAILS)
    books = Books(ledger, tenant.tenant_id)
    bank = await opened(books, "assets:bank", AccountType.ASSET)
    wallet = await opened(books, "wallets:1", AccountType.LIABILITY)
    await moved(books, bank, wallet, 1250, text="=Top-up")
    await moved(books, wallet, bank, 250, correlation_id="order-7")
    rooms = Rooms()
    rooms.add(open_witness(database))
    rooms.add(ledger)
    rooms.add(tenancy)
    app = FastAPI()
    for router in http.routers:
        app.router.routes.extend(router.routes)
    install_problems(app)
    anyone = _Anyone(tenant.tenant_id)
    gate = Gate(
        app, routes=app.routes, rooms=rooms, authenticator=anyone, limiter=anyone, max_body_bytes=1 << 20
    )
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://florin") as client:
        yield Shop(client, books, bank, wallet)


async def test_a_statement_comes_in_four_formats(shop: Shop) -> None:
    account = encode_id("acct", shop.wallet)
    told = await shop.get("/v1/statements", account=account)
    assert (told.status_code, told.headers["content-type"]) == (200, "application/json")
    body = told.json()
    StatementResponse.model_validate(body)
    assert [one["closing"] for one in body["accounts"]] == [1000]

    table = await shop.get("/v1/statements", account=account, format="csv", to="2199-01-01T00:00:00Z")
    assert table.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    name = f"statement_{account.replace('_', '_')}_2020-01-01_2199-01-01.csv"
    assert table.headers["content-disposition"] == f'attachment; filename="{name}"'
    rows = list(csv.DictReader(StringIO(table.text)))
    assert [(row["row"], row["credit"], row["balance"]) for row in rows[:4]] == [
        ("opening", "", "0.00"),
        ("entry", "12.50", "12.50"),
        ("entry", "", "10.00"),
        ("closing", "12.50", "10.00"),
    ]
    assert rows[1]["description"] == "'=Top-up"

    message = await shop.get("/v1/statements", format="camt053")
    assert message.headers["content-type"] == "application/xml"
    names = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}
    document = ET.fromstring(message.content)
    assert len(document.findall(".//c:Stmt", names)) == 2
    assert document.findtext(".//c:FinInstnId/c:Nm", namespaces=names) == "Demo Bank"

    paper = await shop.get("/v1/statements", format="pdf", under="wallets")
    assert paper.headers["content-type"] == "application/pdf"
    assert 'filename="statement_wallets_2020-01-01_' in paper.headers["content-disposition"]
    text = PdfReader(BytesIO(paper.content)).pages[0].extract_text()
    assert "Demo Bank" in text
    assert "Accounts under wallets" in text
    assert "12.50" in text


async def test_journal_general_ledger_and_trial_balance_are_told_as_documented(shop: Shop) -> None:
    journal = (await shop.get("/v1/reports/journal")).json()
    JournalResponse.model_validate(journal)
    assert journal["totals"] == [{"currency": "USD", "debits": 1500, "credits": 1500}]
    ledger = (await shop.get("/v1/reports/general-ledger")).json()
    GeneralLedgerResponse.model_validate(ledger)
    assert ledger["accounts"][0]["entries"][0]["against"] == ["wallets:1"]
    trial = (await shop.get("/v1/reports/trial-balance", by="effective")).json()
    PeriodTrialBalanceResponse.model_validate(trial)
    (total,) = trial["totals"]
    assert total["debits"] == total["credits"] == 1500
    assert total["closing_debits"] == total["closing_credits"] == 1000
    nodes = (await shop.get("/v1/reports/trial-balance", depth=1)).json()
    assert [row["code"] for row in nodes["rows"]] == ["assets", "wallets"]
    for path in ("journal", "general-ledger", "trial-balance"):
        table = await shop.get(f"/v1/reports/{path}", format="csv")
        assert table.headers["content-type"].startswith("text/csv")
        assert f'filename="{path}_2020-01-01_' in table.headers["content-disposition"]
    paper = await shop.get("/v1/reports/trial-balance", format="pdf")
    assert paper.content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("params", "status", "code", "param"),
    [
        ({"from": "2026"}, 422, "invalid_request", "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 422, "period_out_of_order", "from"),
        ({"format": "xls"}, 422, "invalid_request", "format"),
        ({"by": "value"}, 422, "invalid_request", "by"),
        ({"account": encode_id("acct", new_id())}, 404, "account_not_found", "account"),
        ({"under": "nowhere"}, 404, "account_not_found", "under"),
        ({"under": "assets", "account": encode_id("acct", new_id())}, 422, "scope_ambiguous", "under"),
        ({"under": ":"}, 422, "invalid_request", "under"),
        ({"colour": "red"}, 422, "invalid_request", "colour"),
        (
            {"format": "camt053", "to": "2020-01-02T00:00:00Z"},
            422,
            "nothing_to_report",
            "format",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    shop: Shop, params: dict[str, str], status: int, code: str, param: str
) -> None:
    refused = await shop.get("/v1/statements", **params)
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["param"]) == (status, code, param)


async def test_the_beginning_of_the_period_has_to_be_said(shop: Shop) -> None:
    refused = await shop.http.get("/v1/statements")
    assert (refused.status_code, refused.json()["param"]) == (422, "from")


async def test_a_format_that_takes_fewer_lines_refuses_before_it_begins(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_http, "MAX_PDF_LINES", 1)
    monkeypatch.setattr(reports_http, "MAX_CAMT053_LINES", 1)
    for path, format in (
        ("statements", "pdf"),
        ("statements", "camt053"),
        ("reports/trial-balance", "pdf"),
    ):
        refused = await shop.get(f"/v1/{path}", format=format)
        problem = refused.json()
        assert (refused.status_code, problem["code"], problem["param"]) == (
            *(422, "report_too_large", "format"),
        )
    assert (await shop.get("/v1/statements", format="csv")).status_code == 200
