"""Books in which everything has happened, and a hand that may do what no role of Florin's may."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.model import AccountType, HoldAction, Origin, Posting
from florin.ledger.proof.model import Fault
from florin.ledger.proof.verify import plan_verification, verify
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, holding, legs, reversing, settling
from tests.ledger.test_http import api  # noqa: F401 - the same fixture

Tamper = Callable[..., int]


@pytest.fixture
def tamper(database_urls: AllDatabaseUrls) -> Tamper:
    """Runs a statement as the superuser with all triggers off; how many rows it has changed."""

    def run(statement: str, *parameters: Any, named: dict[str, Any] | None = None) -> int:
        with psycopg.connect(database_urls.root) as root:
            root.execute("SET session_replication_role = replica")
            return root.execute(statement.encode(), named or parameters).rowcount

    return run


async def verified(books: Books, **options: Any) -> list[Fault]:
    """What verification finds."""
    plan = await plan_verification(books.ledger, books.tenant_id, **options)
    return await verify(books.ledger, plan)


class History:
    """Books with transfers, holds in every state, reversals, back-dated entries, a limit and a monitor."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.tenant_id = books.tenant_id
        self.accounts: dict[str, UUID] = {}
        self.transfers: dict[str, UUID] = {}

    async def post(self, name: str, *pairs: tuple[str, int], **more: Any) -> UUID:
        """A transfer of (account's name, amount) pairs."""
        made = await service.post_transfer(
            self.books.ledger,
            self.tenant_id,
            Posting(
                new_id(),
                fresh_key(),
                legs(*((self.accounts[account], amount) for account, amount in pairs)),
                **more,
            ),
        )
        self.transfers[name] = made.id
        return made.id

    async def hold(self, name: str, *pairs: tuple[str, int], expires_at: datetime | None = None) -> UUID:
        """A hold."""
        made = await service.place_hold(
            self.books.ledger,
            self.tenant_id,
            holding(*((self.accounts[one], amount) for one, amount in pairs), expires_at=expires_at),
        )
        self.transfers[name] = made.id
        return made.id

    async def settle(self, name: str, hold: str, action: HoldAction, amount: int | None = None) -> None:
        """Something done to a hold."""
        done = await service.settle_hold(
            self.books.ledger,
            self.tenant_id,
            settling(self.transfers[hold], action, amount_minor=amount),
        )
        self.transfers[name] = done.id

    async def make(self, tamper: Tamper) -> None:
        """Lets it all happen."""
        for name, type_, currency in (
            ("cash", AccountType.ASSET, "USD"),
            ("wallet", AccountType.LIABILITY, "USD"),
            ("fees", AccountType.INCOME, "USD"),
            ("yen", AccountType.ASSET, "JPY"),
            ("yen_wallet", AccountType.LIABILITY, "JPY"),
            ("idle", AccountType.EQUITY, "USD"),
        ):
            self.accounts[name] = await self.books.open(type_, currency)
        await self.post("top_up", ("cash", 10_000), ("wallet", -10_000))
        await self.post("fee", ("wallet", 300), ("fees", -300), description="Fee", metadata={"order": "1"})
        await self.post("exchange", ("wallet", 10), ("cash", -10), ("yen", 1500), ("yen_wallet", -1500))
        await self.post(
            "late",
            ("cash", 70),
            ("wallet", -70),
            effective_at=datetime.now(UTC) - timedelta(days=40),
            origin=Origin(correlation_id="order-1"),
        )
        await self.hold("reserved", ("wallet", 100), ("fees", -100))
        await self.hold("captured", ("wallet", 200), ("fees", -200))
        await self.settle("capture", "captured", HoldAction.POST)
        await self.hold("partial", ("wallet", 400), ("fees", -400))
        await self.settle("part", "partial", HoldAction.POST, 150)
        await self.hold("voided", ("wallet", 500), ("fees", -500))
        await self.settle("some", "voided", HoldAction.POST, 50)
        await self.settle("void", "voided", HoldAction.VOID)
        for amount in (100, 50):
            done = await service.reverse_transfer(
                self.books.ledger, self.tenant_id, self.part_of("fee", amount)
            )
            self.transfers[f"reversal_{amount}"] = done.id
        await service.reverse_transfer(
            self.books.ledger, self.tenant_id, reversing(self.transfers["exchange"])
        )
        self.limit(tamper)

    def part_of(self, name: str, amount_minor: int) -> Any:
        """The reversal of a part of a transfer."""
        whole = reversing(self.transfers[name])
        return type(whole)(whole.id, whole.idempotency, whole.transfer_id, amount_minor)

    def limit(self, tamper: Tamper) -> None:
        """A limit that wallet and idle share and a monitor on cash, as if they had always been there."""
        limit_id = new_id()
        tamper(
            "INSERT INTO ledger.limits (tenant_id, id, name, side, currency, balance, pending_debits,"
            " pending_credits, created_at) SELECT tenant_id, %s, 'both', 'credit', 'USD', sum(balance),"
            " sum(pending_debits), sum(pending_credits), now() FROM ledger.accounts"
            " WHERE tenant_id = %s AND id = ANY (%s) GROUP BY tenant_id",
            limit_id, self.tenant_id, [self.accounts["wallet"], self.accounts["idle"]],
        )  # fmt: skip
        tamper(
            "UPDATE ledger.accounts SET limit_id = %s WHERE tenant_id = %s AND id = ANY (%s)",
            limit_id, self.tenant_id, [self.accounts["wallet"], self.accounts["idle"]],
        )  # fmt: skip
        tamper(
            "INSERT INTO ledger.monitors (tenant_id, id, account_id, name, metric, comparison, threshold,"
            " created_at) VALUES (%s, %s, %s, 'low', 'balance', 'below', 5, now())",
            self.tenant_id, new_id(), self.accounts["cash"],
        )  # fmt: skip
        tamper(
            "UPDATE ledger.accounts SET monitored = true WHERE tenant_id = %s AND id = %s",
            self.tenant_id, self.accounts["cash"],
        )  # fmt: skip

    def close_a_period(self, database_urls: AllDatabaseUrls) -> None:
        """A closed period and two versions of a template, recorded in the audit log."""
        with psycopg.connect(database_urls.root) as root:
            root.execute(f"SET LOCAL app.tenant_id = {self.tenant_id}".encode())
            root.execute("SET LOCAL app.actor = 'test'")
            closed = datetime(2026, 1, 1, tzinfo=UTC)
            root.execute(
                "INSERT INTO ledger.period_closings (tenant_id, id, closed_before, closed_at, name)"
                " VALUES (%s, %s, %s, now(), '2025')",
                (self.tenant_id, new_id(), closed),
            )
            root.execute(
                "INSERT INTO ledger.books (tenant_id, closed_before) VALUES (%s, %s) ON CONFLICT (tenant_id)"
                " DO UPDATE SET closed_before = excluded.closed_before",
                (self.tenant_id, closed),
            )
            for version in (1, 2):
                root.execute(
                    "INSERT INTO ledger.templates (tenant_id, name, version, body, created_at)"
                    " VALUES (%s, 'fee.charged', %s, %s, now())",
                    (self.tenant_id, version, json.dumps({"legs": version})),
                )


@pytest.fixture
async def history(books: Books, tamper: Tamper, database_urls: AllDatabaseUrls) -> History:
    """Sound books in which everything has happened."""
    made = History(books)
    await made.make(tamper)
    made.close_a_period(database_urls)
    return made
