"""The array functions: order of locks, neighbours of refused items, and plans that bear a thousand items."""

import asyncio
from uuid import UUID

import pytest

from florin.kernel.db import Connection
from florin.kernel.ids import encode_id, new_id
from florin.payments import calls
from florin.payments.errors import LedgerRefused
from florin.payments.model import (
    Finding,
    NewOperation,
    NewPayment,
    Opening,
    OperationKind,
    OperationOpening,
    OperationSettling,
    Posting,
    Settling,
)
from florin.payments.recovery import recover
from florin.payments.service import create_payment
from florin.providers.provider import Outcome, OutcomeStatus
from tests.payments.conftest import CARD, Books, fresh_key

DONE = Finding("succeeded", None, "theirs")


def test_accounts_and_payments_are_named_once_and_ascending() -> None:
    low, high = UUID(int=1), UUID(int=2)
    first, second = new_id(), new_id()
    items = [
        OperationSettling(new_id(), second, DONE, Posting(new_id(), debit=high, credit=low, amount_minor=5)),
        OperationSettling(new_id(), first, DONE, None),
        OperationSettling(new_id(), second, DONE, Posting(new_id(), debit=low, credit=high, amount_minor=7)),
    ]
    encoded = calls.SETTLE_OPERATIONS.encode(items)
    assert encoded[1] == f"{{{first},{second}}}"
    assert encoded[2] == "{2,1,2}"
    assert encoded[-5:-1] == (f"{{{low},{high}}}", "{1,1,3,3}", "{2,1,1,2}", "{5,-5,7,-7}")


async def test_an_account_that_refuses_stops_its_own_payment_only(books: Books, owner: Connection) -> None:
    """The money is taken, so the attempt stays open and is booked as soon as the account lets it."""
    anns, bobs = new_id(), new_id()

    async def pay(partner_id: UUID) -> object:
        request = NewPayment(100, "USD", CARD)
        return await create_payment(books.payments, books.tenant_id, partner_id, request, fresh_key())

    await asyncio.gather(pay(anns), pay(bobs))
    freeze = "UPDATE ledger.accounts SET status = %s WHERE tenant_id = %s AND code = %s"
    frozen = f"partner:{encode_id('ptnr', anns)}:payable:USD"
    await owner.execute(freeze.encode(), ("frozen", books.tenant_id, frozen))
    outcomes = await asyncio.gather(*[pay(anns), pay(bobs), pay(anns), pay(bobs)], return_exceptions=True)
    assert [isinstance(outcome, LedgerRefused) for outcome in outcomes] == [True, False, True, False]
    await books.check()

    await owner.execute(freeze.encode(), ("active", books.tenant_id, frozen))
    await books.make_due()
    assert await recover(books.payments, books.tenant_id) == 2
    statuses = await books.fetch("SELECT DISTINCT status FROM payments.payments WHERE tenant_id = %s")
    assert statuses == [("completed",)]
    await books.check()


async def test_two_outcomes_of_one_attempt_in_one_call_settle_it_once(books: Books) -> None:
    payment = await books.pay("tok_late")
    succeeded = books.payments.finding(Outcome(OutcomeStatus.SUCCEEDED, "theirs", None, None, None))
    failed = books.payments.finding(Outcome(OutcomeStatus.FAILED, None, "declined", None, None))
    settled = await asyncio.gather(
        *[books.payments.settle(books.tenant_id, payment, 1, one) for one in (succeeded, failed) * 5]
    )
    assert [one.verdict for one in settled].count(None) == 1
    assert len({one.payment["status"] for one in settled}) == 1
    assert await books.event_types(payment) == ["payment.created", f"payment.{settled[0].payment['status']}"]
    await books.check()


@pytest.mark.parametrize("count", [10, 500])
async def test_no_table_is_read_from_end_to_end(books: Books, count: int) -> None:
    """Whatever is on a table, each item of a call costs the same: every look-up goes by an index."""
    ids = [new_id() for _ in range(count)]
    request = NewPayment(1000, "USD", CARD)
    await books.pay()  # makes the accounts
    accounts = await books.fetch("SELECT id FROM ledger.accounts WHERE tenant_id = %s ORDER BY code DESC")
    receivable, payable = (UUID(str(row[0])) for row in accounts)
    paying = [Opening(payment_id, fresh_key(), None, "sandbox", request) for payment_id in ids]
    settling = [
        Settling(payment_id, 1, DONE, Posting(new_id(), receivable, payable, 1000)) for payment_id in ids
    ]
    refunds = [
        OperationOpening(new_id(), fresh_key(), None, NewOperation(OperationKind.REFUND, payment_id, 10))
        for payment_id in ids
    ]
    refunding = [
        OperationSettling(
            item.id, item.operation.payment_id, DONE, Posting(new_id(), payable, receivable, 10)
        )
        for item in refunds
    ]
    opening, open_operations = calls.opening(30), calls.operation_opening(30)
    async with books.payments.database.tenant(books.tenant_id) as connection:
        for statement, parameters in (
            (opening.statement, opening.encode(paying)),
            (calls.SETTLE.statement, calls.SETTLE.encode(settling)),
            (open_operations.statement, open_operations.encode(refunds)),
            (calls.SETTLE_OPERATIONS.statement, calls.SETTLE_OPERATIONS.encode(refunding)),
        ):
            cursor = await connection.execute(statement.encode(), (books.tenant_id, *parameters))
            assert {row[1] for row in await cursor.fetchall()} == {None}
        cursor = await connection.execute(
            "SELECT schemaname || '.' || relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0"
            " AND schemaname <> 'reference'"
        )
        assert await cursor.fetchall() == []
    await books.check()
