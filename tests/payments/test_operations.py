"""Captures, cancellations and refunds."""

import asyncio
from uuid import UUID

import pytest

from florin.kernel.errors import RequestInFlight
from florin.kernel.ids import new_id
from florin.payments.errors import (
    CancelFailed,
    CaptureExceedsRemaining,
    CaptureFailed,
    CaptureInProgress,
    PaymentNotCancellable,
    PaymentNotCapturable,
    PaymentNotConfirmable,
    PaymentNotFound,
    PaymentNotRefundable,
    RefundExceedsRemaining,
)
from florin.payments.model import Answer, CaptureMethod, NewOperation, OperationKind, Snapshot
from florin.payments.operations import operate
from florin.payments.recovery import recover
from florin.payments.service import confirm_payment
from florin.providers.provider import Outcome, OutcomeStatus, OutcomeUnknown
from tests.payments.conftest import DECLINED, Books, fresh_key

CAPTURE, CANCEL, REFUND = OperationKind.CAPTURE, OperationKind.CANCEL, OperationKind.REFUND


async def authorized(books: Books, amount_minor: int = 1000) -> Snapshot:
    return await books.pay(amount_minor=amount_minor, capture_method=CaptureMethod.MANUAL)


async def test_refunds_in_parts_up_to_the_last_minor_unit(books: Books) -> None:
    payment = await books.pay()
    first = await books.refund(payment, 300)
    assert (first["status"], first["amount"]) == ("completed", 300)
    assert (await books.read(payment))["status"] == "partially_refunded"
    await books.refund(payment, 200)
    await books.check()

    with pytest.raises(RefundExceedsRemaining) as refused:
        await books.refund(payment, 501)
    assert refused.value.extra == {"remaining": 500}
    assert "500" in refused.value.detail
    assert refused.value.param == "amount"

    last = await books.refund(payment, 500)
    assert last["status"] == "completed"
    row = await books.read(payment)
    assert (row["status"], row["refunded"], row["refund_pending"]) == ("refunded", 1000, 0)
    assert set((await books.balances()).values()) == {0}
    await books.check()


async def test_a_refund_without_an_amount_gives_back_all_that_is_left(books: Books) -> None:
    payment = await books.pay()
    await books.refund(payment, 1)
    assert (await books.refund(payment))["amount"] == 999
    with pytest.raises(RefundExceedsRemaining) as refused:
        await books.refund(payment)
    assert refused.value.extra == {"remaining": 0}
    await books.check()


async def test_of_twenty_refunds_at_once_only_what_was_captured_is_given_back(books: Books) -> None:
    payment = await books.pay(amount_minor=1000)
    outcomes = await asyncio.gather(*[books.refund(payment, 99) for _ in range(20)], return_exceptions=True)
    done = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefundExceedsRemaining)]
    assert (len(done), len(refused)) == (10, 10)
    assert all(refusal.extra == {"remaining": 10} for refusal in refused)
    assert (await books.read(payment))["refunded"] == 990
    assert books.provider.calls["refund"] == 10
    await books.check()


async def test_a_refund_under_way_counts_against_what_is_left(books: Books) -> None:
    payment = await books.pay()
    books.provider.answer_operations = Outcome(OutcomeStatus.PENDING, "theirs", None, None, None)
    waiting = await books.refund(payment, 600)
    assert waiting["status"] == "processing"
    row = await books.read(payment)
    assert (row["status"], row["refund_pending"], row["refunded"]) == ("completed", 600, 0)
    with pytest.raises(RefundExceedsRemaining) as refused:
        await books.refund(payment, 401)
    assert refused.value.extra == {"remaining": 400}
    await books.check()


async def test_a_refund_that_the_provider_refuses_fails_and_frees_its_amount(books: Books) -> None:
    payment = await books.pay()
    books.provider.answer_operations = DECLINED
    failed = await books.refund(payment, 400)
    assert (failed["status"], failed["failure_code"]) == ("failed", "card_declined")
    row = await books.read(payment)
    assert (row["status"], row["refund_pending"]) == ("completed", 0)
    assert row["completed_at"] == payment["completed_at"]
    books.provider.answer_operations = None
    assert (await books.refund(payment))["amount"] == 1000
    await books.check()
    assert await books.event_types(failed) == ["refund.created", "refund.failed"]


async def test_a_refund_is_replayed_and_so_is_its_refusal(books: Books) -> None:
    payment = await books.pay()
    key = fresh_key()
    request = NewOperation(REFUND, UUID(payment["id"]), 400)
    first = await operate(books.payments, books.tenant_id, None, request, key)
    again = await operate(books.payments, books.tenant_id, None, request, key)
    assert again.replayed
    assert again.snapshot == first.snapshot

    refused_key = fresh_key()
    too_much = NewOperation(REFUND, UUID(payment["id"]), 601)
    for _ in range(2):
        with pytest.raises(RefundExceedsRemaining) as refused:
            await operate(books.payments, books.tenant_id, None, too_much, refused_key)
        assert refused.value.extra == {"remaining": 600}
    assert books.provider.calls["refund"] == 1
    await books.check()


async def test_one_key_for_twenty_refunds_gives_back_once(books: Books) -> None:
    payment = await books.pay()
    key, request = fresh_key(), NewOperation(REFUND, UUID(payment["id"]), 10)
    outcomes = await asyncio.gather(
        *[operate(books.payments, books.tenant_id, None, request, key) for _ in range(20)],
        return_exceptions=True,
    )
    assert all(isinstance(outcome, (Answer, RequestInFlight)) for outcome in outcomes)
    assert (await books.read(payment))["refunded"] == 10
    await books.check()


async def test_only_what_was_captured_can_be_refunded(books: Books) -> None:
    for payment in (await books.pay("tok_declined"), await books.pay(confirm=False), await authorized(books)):
        with pytest.raises(PaymentNotRefundable):
            await books.refund(payment, 1)
    with pytest.raises(PaymentNotFound):
        await books.refund({"id": str(new_id())}, 1)


async def test_a_partner_cannot_refund_what_is_not_its_own(books: Books) -> None:
    payment = await books.pay()
    request = NewOperation(REFUND, UUID(payment["id"]), 1)
    with pytest.raises(PaymentNotFound) as refused:
        await operate(books.payments, books.tenant_id, new_id(), request, fresh_key())
    assert refused.value.extra == {}


async def test_captures_in_parts_complete_the_payment_with_the_last(books: Books) -> None:
    payment = await authorized(books)
    row = await books.operate(CAPTURE, payment, 400)
    assert (row["status"], row["captured"]) == ("authorized", 400)
    assert (await books.balances())["partner:tenant:payable:USD"] == 400
    with pytest.raises(CaptureExceedsRemaining) as refused:
        await books.operate(CAPTURE, payment, 601)
    assert refused.value.extra == {"remaining": 600}
    row = await books.operate(CAPTURE, payment)
    assert (row["status"], row["captured"]) == ("completed", 1000)
    assert await books.event_types(payment) == [
        "payment.created",
        "payment.authorized",
        "payment.partially_captured",
        "payment.completed",
    ]
    await books.check()


async def test_a_final_capture_releases_the_rest(books: Books) -> None:
    payment = await authorized(books)
    row = await books.operate(CAPTURE, payment, 250, final=True)
    assert (row["status"], row["captured"], row["capture_pending"]) == ("completed", 250, 0)
    with pytest.raises(PaymentNotCapturable):
        await books.operate(CAPTURE, payment, 1)
    assert (await books.refund(payment))["amount"] == 250
    assert (await books.read(payment))["status"] == "refunded"
    await books.check()


async def test_captures_at_once_never_pass_what_is_authorized(books: Books) -> None:
    payment = await authorized(books)
    outcomes = await asyncio.gather(
        *[books.operate(CAPTURE, payment, 300) for _ in range(8)], return_exceptions=True
    )
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 3
    assert (await books.read(payment))["captured"] == 900
    await books.check()


async def test_a_final_capture_waits_for_those_under_way(books: Books) -> None:
    payment = await authorized(books)
    books.provider.answer_operations = Outcome(OutcomeStatus.PENDING, None, None, None, None)
    await books.operate(CAPTURE, payment, 100)
    with pytest.raises(CaptureInProgress):
        await books.operate(CAPTURE, payment, 100, final=True)
    with pytest.raises(PaymentNotCancellable):
        await books.operate(CANCEL, payment)


async def test_a_capture_that_fails_says_why_and_leaves_the_authorization(books: Books) -> None:
    payment = await authorized(books)
    books.provider.answer_operations = DECLINED
    key, request = fresh_key(), NewOperation(CAPTURE, UUID(payment["id"]))
    for _ in range(2):
        with pytest.raises(CaptureFailed) as failed:
            await operate(books.payments, books.tenant_id, None, request, key)
        assert failed.value.extra == {"decline_code": "card_declined"}
    assert books.provider.calls["capture"] == 1
    row = await books.read(payment)
    assert (row["status"], row["capture_pending"]) == ("authorized", 0)


async def test_cancelling_an_authorization_releases_it(books: Books) -> None:
    payment = await authorized(books)
    row = await books.operate(CANCEL, payment)
    assert row["status"] == "cancelled"
    assert "cancelled_at" in row
    for kind in (CAPTURE, CANCEL):
        with pytest.raises((PaymentNotCapturable, PaymentNotCancellable)):
            await books.operate(kind, payment)
    assert await books.event_types(payment) == [
        "payment.created",
        "payment.authorized",
        "payment.cancelled",
    ]
    await books.check()


async def test_a_payment_that_was_never_sent_is_cancelled_without_the_provider(books: Books) -> None:
    payment = await books.pay(confirm=False)
    assert (await books.operate(CANCEL, payment))["status"] == "cancelled"
    assert books.provider.calls["cancel"] == 0
    with pytest.raises(PaymentNotConfirmable):
        await confirm_payment(books.payments, books.tenant_id, None, UUID(payment["id"]), fresh_key())


async def test_cancelling_while_the_customer_has_to_act_ends_the_attempt(books: Books) -> None:
    payment = await books.pay("tok_3ds")
    assert (await books.operate(CANCEL, payment))["status"] == "cancelled"
    await books.make_due()
    assert await recover(books.payments, books.tenant_id) == 0
    assert (await books.read(payment))["status"] == "cancelled"


async def test_a_customer_who_is_faster_than_the_cancellation_wins(books: Books) -> None:
    payment = await books.pay("tok_3ds")
    books.provider.answer_operations = OutcomeUnknown
    waiting = await books.operate(CANCEL, payment)
    assert waiting["status"] == "requires_action"
    reference = next(iter(books.provider.charged))
    books.provider.charged[reference] = Outcome(OutcomeStatus.SUCCEEDED, None, None, None, None)
    await books.payments.settle(
        books.tenant_id,
        payment,
        1,
        books.payments.finding(books.provider.charged[reference]),
    )
    await books.make_due()
    await recover(books.payments, books.tenant_id)
    row = await books.read(payment)
    assert (row["status"], row["cancel_pending"]) == ("completed", False)
    codes = await books.fetch("SELECT failure_code FROM payments.operations WHERE tenant_id = %s")
    assert codes == [("payment_not_cancellable",)]
    await books.check()


async def test_a_cancellation_that_the_provider_refuses_is_told(books: Books) -> None:
    payment = await authorized(books)
    books.provider.answer_operations = DECLINED
    with pytest.raises(CancelFailed):
        await books.operate(CANCEL, payment)
    row = await books.read(payment)
    assert (row["status"], row["cancel_pending"]) == ("authorized", False)


async def test_what_is_captured_cannot_be_cancelled(books: Books) -> None:
    captured_in_part = await authorized(books)
    await books.operate(CAPTURE, captured_in_part, 1)
    for payment in (await books.pay(), await books.pay("tok_declined"), captured_in_part):
        with pytest.raises(PaymentNotCancellable):
            await books.operate(CANCEL, payment)


async def test_an_unanswered_refund_is_settled_by_inquiry_once(books: Books) -> None:
    payment = await books.pay()
    books.provider.answer_operations = OutcomeUnknown
    waiting = await books.refund(payment, 400)
    assert waiting["status"] == "processing"
    await books.make_due()
    assert await recover(books.payments, books.tenant_id) == 1
    assert (await books.read(payment))["refunded"] == 400
    assert books.provider.calls["refund"] == 1
    assert await recover(books.payments, books.tenant_id) == 0
    await books.check()


async def test_settling_a_refund_twice_at_once_books_it_once(books: Books) -> None:
    payment = await books.pay()
    books.provider.answer_operations = Outcome(OutcomeStatus.PENDING, None, None, None, None)
    refund = await books.refund(payment, 400)
    finding = books.payments.operation_finding(Outcome(OutcomeStatus.SUCCEEDED, "theirs", None, None, None))
    settled = await asyncio.gather(
        *[books.payments.settle_operation(books.tenant_id, payment, refund, finding) for _ in range(10)]
    )
    assert [one.verdict for one in settled].count(None) == 1
    assert (await books.read(payment))["refunded"] == 400
    await books.check()
