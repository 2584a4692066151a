"""A provider's receivable is to return to zero: captured payments open it, payouts and refunds clear it."""

from datetime import timedelta
from uuid import UUID

from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import encode_id, new_id
from florin.ledger.clearing import service
from florin.ledger.clearing.model import Item, Trail, TrailEvent, TrailTransfer
from florin.ledger.model import AccountType, Leg, Origin, Posting, SystemAccount
from florin.ledger.service import account_ids, post_transfer
from florin.payments.model import CaptureMethod, OperationKind, Snapshot
from tests.payments.conftest import Books

RECEIVABLE = SystemAccount("provider:sandbox:receivable:USD", "Receivable", AccountType.ASSET, "USD")
BANK = SystemAccount("assets:bank:usd", "Bank", AccountType.ASSET, "USD")


class Clearing:
    """The provider's receivable, below a node of the chart that clears within two days."""

    def __init__(self, books: Books, match_by: str) -> None:
        self.books, self.match_by = books, match_by

    async def declare(self) -> None:
        async with self.books.payments.database.tenant(self.books.tenant_id) as connection:
            await connection.execute(
                "INSERT INTO ledger.chart (tenant_id, code, name, type, clears_within, match_by, created_at)"
                " VALUES (%s, 'provider', 'Providers', 'asset', '2 days', %s, now())",
                (self.books.tenant_id, self.match_by),
            )

    async def account(self) -> UUID:
        (found,) = await account_ids(self.books.payments.ledger, self.books.tenant_id, [RECEIVABLE])
        return found

    async def items(self) -> list[Item]:
        return await service.open_items(
            self.books.payments.ledger, self.books.tenant_id, await self.account(), limit=100
        )

    async def open(self) -> dict[str | None, int]:
        """Open amounts by the payment that they belong to."""
        return {item.correlation_id: item.amount_minor for item in await self.items()}

    async def pay_out(self, amount_minor: int, correlation: str | None = None) -> None:
        """The provider pays to the bank."""
        receivable, bank = await account_ids(
            self.books.payments.ledger, self.books.tenant_id, [RECEIVABLE, BANK]
        )
        await post_transfer(
            self.books.payments.ledger,
            self.books.tenant_id,
            Posting(
                id=new_id(),
                idempotency=Idempotency(new_id(), new_id()),
                legs=(Leg(bank, amount_minor), Leg(receivable, -amount_minor)),
                origin=Origin(correlation),
            ),
        )

    async def trail(self, transfer_id: UUID) -> Trail:
        return await service.trail(
            self.books.payments.ledger, self.books.tenant_id, await self.account(), transfer_id
        )


def public(payment: Snapshot) -> str:
    return encode_id("pay", UUID(payment["id"]))


async def test_a_payout_clears_the_oldest_captures_and_what_is_left_leads_to_its_payment(
    books: Books,
) -> None:
    clearing = Clearing(books, "order")
    await clearing.declare()
    first, second = await books.pay(amount_minor=1000), await books.pay(amount_minor=500)
    assert await clearing.open() == {public(first): 1000, public(second): 500}
    await clearing.pay_out(1200)
    assert await clearing.open() == {public(second): 300}
    (item,) = await clearing.items()
    trail = await clearing.trail(item.transfer_id)
    assert trail.item is not None
    assert [step.type for step in trail.steps if isinstance(step, TrailEvent)] == [
        "payment.created",
        "payment.completed",
    ]
    (captured,) = [step for step in trail.steps if isinstance(step, TrailTransfer)]
    assert (captured.amount_minor, captured.correlation_id) == (500, public(second))
    third = await books.pay(amount_minor=700)
    await clearing.pay_out(300)
    assert await clearing.open() == {public(third): 700}
    account = await service.clearing_account(books.payments.ledger, books.tenant_id, await clearing.account())
    assert (account.balance_minor, account.open_minor, account.clears_within) == (
        700,
        700,
        timedelta(days=2),
    )


async def test_matched_by_correlation_each_payment_clears_by_itself(books: Books) -> None:
    clearing = Clearing(books, "correlation")
    await clearing.declare()
    first, second = await books.pay(amount_minor=1000), await books.pay(amount_minor=500)
    await books.refund(first, 400)
    assert await clearing.open() == {public(first): 600, public(second): 500}
    opened = {item.correlation_id: item.transfer_id for item in await clearing.items()}
    await clearing.pay_out(500, public(second))
    await clearing.pay_out(250, public(first))
    assert await clearing.open() == {public(first): 350}
    trail = await clearing.trail(opened[public(first)])
    amounts = [step.amount_minor for step in trail.steps if isinstance(step, TrailTransfer)]
    assert amounts == [1000, -400, -250]
    assert trail.item is not None
    assert trail.item.amount_minor == 350
    await books.refund(second, 500)  # after it was paid out: now the provider is owed
    assert await clearing.open() == {public(first): 350, public(second): -500}
    again = (await clearing.trail(opened[public(second)])).item  # the correlation, whoever opened it
    assert again is not None
    assert (again.amount_minor, again.transfer_id != opened[public(second)]) == (-500, True)


async def test_a_capture_in_parts_is_open_until_all_of_it_is_paid_out(books: Books) -> None:
    clearing = Clearing(books, "correlation")
    await clearing.declare()
    payment = await books.pay(amount_minor=900, capture_method=CaptureMethod.MANUAL)
    for amount_minor in (300, 200):
        await books.operate(OperationKind.CAPTURE, payment, amount_minor)
    assert await clearing.open() == {public(payment): 500}
    await clearing.pay_out(500, public(payment))
    assert await clearing.items() == []
