"""A provider that does as it is told, and payments opened on a real database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from fastapi import FastAPI
from psycopg import AsyncConnection

from florin.kernel.crypto import KeyRing
from florin.kernel.db import Connection, Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.idempotency import Idempotency, idempotency
from florin.kernel.ids import new_id
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.ledger.service import Ledger
from florin.payments.http import routers
from florin.payments.model import NewOperation, NewPayment, OperationKind, Snapshot
from florin.payments.operations import operate
from florin.payments.room import Pacing, Payments
from florin.payments.service import create_payment
from florin.providers.provider import (
    Charge,
    EventKind,
    InvalidWebhook,
    Method,
    Outcome,
    OutcomeStatus,
    OutcomeUnknown,
    ProviderEvent,
)
from florin.tenancy.service import Tenancy
from tests.conftest import AllDatabaseUrls

CARD = Method("card", "tok_success", None)
DECLINED = Outcome(OutcomeStatus.FAILED, None, "card_declined", "The card was declined.", None)


def succeeded(reference: str) -> Outcome:
    return Outcome(OutcomeStatus.SUCCEEDED, f"fake_{reference}", None, None, None)


@dataclass
class FakeProvider:
    """Charges by token, remembers by reference, and counts what really moved money."""

    name: str = "sandbox"
    charged: dict[str, Outcome] = field(default_factory=dict)
    operations: dict[str, Outcome] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    answer_operations: Outcome | type[OutcomeUnknown] | None = None

    async def charge(self, charge: Charge) -> Outcome:
        self.calls["charge"] += 1
        known = self.charged.get(charge.reference)
        if known is not None:
            return known
        token = charge.method.token or charge.method.vpa or ""
        if token == "tok_timeout_before" and self.calls["charge"] == 1:
            raise OutcomeUnknown
        if token == "tok_wait":
            self.waiting.set()
            await self.gate.wait()
        outcome = self._outcome(token, charge)
        self.charged[charge.reference] = outcome
        if token == "tok_timeout_after":
            raise OutcomeUnknown
        return outcome

    def _outcome(self, token: str, charge: Charge) -> Outcome:
        if token == "tok_declined":
            return DECLINED
        if token == "tok_3ds":
            return Outcome(OutcomeStatus.REQUIRES_ACTION, "fake_3ds", None, None, "https://bank.example/3ds")
        if token == "tok_late":
            return Outcome(OutcomeStatus.PENDING, "fake_late", None, None, None)
        status = OutcomeStatus.SUCCEEDED if charge.capture else OutcomeStatus.AUTHORIZED
        return Outcome(status, f"fake_{charge.reference}", None, None, None)

    async def inquire(self, charge: Charge) -> Outcome | None:
        self.calls["inquire"] += 1
        return self.charged.get(charge.reference)

    async def _operate(self, kind: str, reference: str) -> Outcome:
        self.calls[kind] += 1
        if reference in self.operations:
            return self.operations[reference]
        if self.answer_operations is OutcomeUnknown:
            self.answer_operations = None
            self.operations[reference] = succeeded(reference)
            raise OutcomeUnknown
        assert not isinstance(self.answer_operations, type)
        self.operations[reference] = self.answer_operations or succeeded(reference)
        return self.operations[reference]

    async def capture(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        return await self._operate("capture", reference)

    async def cancel(self, reference: str, charge: Charge, provider_reference: str) -> Outcome:
        return await self._operate("cancel", reference)

    async def refund(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        return await self._operate("refund", reference)

    async def inquire_operation(self, reference: str, charge: Charge) -> Outcome | None:
        self.calls["inquire_operation"] += 1
        return self.operations.get(reference)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        if headers.get("signature") != "good":
            raise InvalidWebhook("the signature is wrong")
        return [
            ProviderEvent(
                event["id"],
                EventKind(event["kind"]),
                event["reference"],
                Outcome(OutcomeStatus(event["status"]), event.get("theirs"), None, None, None),
            )
            for event in orjson.loads(body)
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
async def database(database_urls: AllDatabaseUrls) -> AsyncIterator[Database]:
    async with Database(database_urls.app, size=4) as database:
        yield database


@pytest.fixture
async def tenant_id(database: Database) -> int:
    """A tenant of the test's own."""
    async with database.platform() as connection:
        cursor = await connection.execute(
            "INSERT INTO tenancy.registry (code, live) VALUES (%s, false) RETURNING tenant_id",
            (f"T{uuid4().hex[:12].upper()}",),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def payments(database: Database, provider: FakeProvider) -> Payments:
    """Opened payments that ask again at once."""
    pacing = Pacing(grace_s=0.2, unknown_s=0, pending_s=0, action_s=0)
    notifier = Notifier(database)
    ring = KeyRing({"k1": bytes(32)})
    tenancy = Tenancy(database, notifier, ring, Vault(database, ring))
    return Payments(database, Ledger(database), tenancy, {"sandbox": provider}, notifier, pacing=pacing)


def fresh_key() -> Idempotency:
    return idempotency("tenant", "test", uuid4().hex, b"{}")


@dataclass
class Books:
    """One tenant's payments, with what tests ask of them again and again."""

    payments: Payments
    tenant_id: int
    provider: FakeProvider

    async def pay(self, token: str = "tok_success", amount_minor: int = 1000, **options: object) -> Snapshot:
        request = NewPayment(amount_minor, "USD", Method("card", token, None), **options)  # type: ignore[arg-type]
        answer = await create_payment(self.payments, self.tenant_id, None, request, fresh_key())
        return answer.snapshot

    async def operate(
        self, kind: OperationKind, payment: Snapshot, amount_minor: int | None = None, *, final: bool = False
    ) -> Snapshot:
        request = NewOperation(kind, UUID(payment["id"]), amount_minor, final=final)
        answer = await operate(self.payments, self.tenant_id, None, request, fresh_key())
        return answer.snapshot

    async def refund(self, payment: Snapshot, amount_minor: int | None = None) -> Snapshot:
        return await self.operate(OperationKind.REFUND, payment, amount_minor)

    async def read(self, payment: Snapshot) -> Snapshot:
        row = await self.payments.reading.call(self.tenant_id, UUID(payment["id"]))
        assert row is not None
        return row

    async def fetch(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of a query about this tenant; `%s` first is the tenant."""
        async with self.payments.database.tenant(self.tenant_id) as connection:
            cursor = await connection.execute(sql.encode(), (self.tenant_id, *parameters))
            return await cursor.fetchall()

    async def balances(self) -> dict[str, int]:
        """Balance by account code."""
        rows = await self.fetch("SELECT code, balance FROM ledger.accounts WHERE tenant_id = %s")
        return {str(code): int(str(balance)) for code, balance in rows}

    async def check(self) -> None:
        """What must hold after whatever happened: the ledger says what the payments say."""
        captured_less_refunded = await self.fetch(
            "SELECT coalesce(sum(captured - refunded), 0)::bigint FROM payments.payments WHERE tenant_id = %s"
        )
        entries = await self.fetch(
            "SELECT coalesce(sum(amount), 0)::bigint FROM ledger.entries WHERE tenant_id = %s"
        )
        balances = await self.balances()
        expected = captured_less_refunded[0][0]
        assert entries == [(0,)]
        assert balances.get("provider:sandbox:receivable:USD", 0) == expected
        payable = [value for code, value in balances.items() if code.endswith(":payable:USD")]
        assert sum(payable) == expected

    async def event_types(self, payment: Snapshot) -> list[str]:
        rows = await self.fetch(
            "SELECT type FROM kernel.events WHERE tenant_id = %s AND object_id = %s ORDER BY id",
            payment["id"],
        )
        return [str(row[0]) for row in rows]

    async def make_due(self) -> None:
        """Lets everything that waits for an inquiry be due now."""
        for table in ("attempts", "operations"):
            async with self.payments.database.tenant(self.tenant_id) as connection:
                await connection.execute(
                    f"UPDATE payments.{table} SET next_inquiry_at = clock_timestamp()"
                    " WHERE tenant_id = %s AND next_inquiry_at IS NOT NULL".encode(),
                    (self.tenant_id,),
                )


@pytest.fixture
def books(payments: Payments, tenant_id: int, provider: FakeProvider) -> Books:
    return Books(payments, tenant_id, provider)


@dataclass
class Door:
    """Knows two partners' keys, the tenant's, and one that may only read."""

    tenant_id: int
    partners: dict[bytes, UUID | None] = field(
        default_factory=lambda: {b"tenant": None, b"reader": None, b"ann": new_id(), b"bob": new_id()}
    )

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        name = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if name not in self.partners:
            raise Unauthenticated
        scopes = {"payments:read"} if name == b"reader" else {"*"}
        return Principal(self.tenant_id, self.partners[name], UUID(int=1), frozenset(scopes), live=False)

    async def admit_stranger(self, address: str | None) -> Headers:
        return []

    async def admit(self, principal: Principal) -> Headers:
        return []


@pytest.fixture
async def client(payments: Payments, tenant_id: int) -> AsyncIterator[httpx.AsyncClient]:
    """The room behind the real gate, called with the tenant's key unless the test says otherwise."""
    app = FastAPI()
    install_problems(app)
    for router in routers:
        app.router.routes.extend(router.routes)
    rooms = Rooms()
    rooms.add(payments)
    app.state.rooms = rooms
    door = Door(tenant_id)
    gate = Gate(app, routes=app.routes, rooms=rooms, authenticator=door, limiter=door, max_body_bytes=100_000)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(gate),
        base_url="http://florin",
        headers={"authorization": "Bearer tenant"},
    ) as client:
        yield client


@pytest.fixture
async def owner(database_urls: AllDatabaseUrls, tenant_id: int) -> AsyncIterator[Connection]:
    """A connection as the tables' owner, in the test's tenant."""
    async with await AsyncConnection.connect(database_urls.owner, autocommit=True) as connection:
        await connection.execute(f"SET app.tenant_id = {tenant_id}".encode())
        yield connection
