"""Time-outs, killed processes, and what providers tell late, twice and out of order."""

import asyncio
from uuid import UUID

import orjson
import pytest

from florin.payments.errors import ProviderNotFound
from florin.payments.model import CaptureMethod, OperationKind, Snapshot, attempt_reference
from florin.payments.recovery import apply_provider_event, recover
from florin.payments.room import Pacing, Payments
from florin.providers.provider import InvalidWebhook, Outcome, OutcomeStatus
from tests.payments.conftest import Books, FakeProvider

GOOD = {"signature": "good"}


def message(*events: dict[str, str]) -> bytes:
    return orjson.dumps(list(events))


def told(reference: str, status: str, event_id: str = "evt_1", kind: str = "charge") -> dict[str, str]:
    return {"id": event_id, "kind": kind, "reference": reference, "status": status}


def reference_of(books: Books, payment: Snapshot) -> str:
    return attempt_reference(books.tenant_id, UUID(payment["id"]), 1)


async def tell(books: Books, *events: dict[str, str]) -> int:
    return await apply_provider_event(books.payments, "sandbox", GOOD, message(*events))


async def test_a_time_out_after_the_charge_is_found_by_inquiry(books: Books) -> None:
    payment = await books.pay("tok_timeout_after")
    assert payment["status"] == "processing"
    await books.make_due()
    assert await recover(books.payments, books.tenant_id) == 1
    assert (await books.read(payment))["status"] == "completed"
    assert books.provider.calls["charge"] == 1
    assert await recover(books.payments, books.tenant_id) == 0
    await books.check()


async def test_a_time_out_before_the_charge_is_sent_again_under_the_same_reference(books: Books) -> None:
    payment = await books.pay("tok_timeout_before")
    assert payment["status"] == "processing"
    await books.make_due()
    await recover(books.payments, books.tenant_id)
    assert (await books.read(payment))["status"] == "completed"
    assert list(books.provider.charged) == [reference_of(books, payment)]
    await books.check()


async def test_what_was_never_charged_for_too_long_fails(books: Books, provider: FakeProvider) -> None:
    impatient = Payments(
        books.payments.database,
        books.payments.ledger,
        books.payments.tenancy,
        {"sandbox": provider},
        books.payments.notifier,
        pacing=Pacing(charge_again_for_s=0),
    )
    payment = await books.pay("tok_timeout_before")
    await books.make_due()
    await recover(impatient, books.tenant_id)
    row = await books.read(payment)
    assert (row["status"], row["decline_code"]) == ("failed", "provider_never_charged")
    assert provider.charged == {}


async def test_the_answer_of_a_time_out_is_what_a_retry_hears(books: Books) -> None:
    payment = await books.pay("tok_timeout_after")
    answers = await books.fetch(
        "SELECT status, answer ->> 'status' FROM kernel.idempotency_keys WHERE tenant_id = %s"
    )
    assert answers == [(201, "processing")]
    assert payment["status"] == "processing"


async def test_what_a_killed_process_left_behind_is_picked_up_after_the_grace_period(books: Books) -> None:
    paying = asyncio.create_task(books.pay("tok_wait"))
    await books.provider.waiting.wait()
    paying.cancel()  # the process dies while the provider works
    with pytest.raises(asyncio.CancelledError):
        await paying
    assert await recover(books.payments, books.tenant_id) == 0  # it might still be alive
    await asyncio.sleep(0.25)
    books.provider.gate.set()
    assert await recover(books.payments, books.tenant_id) == 1
    rows = await books.fetch("SELECT status FROM payments.payments WHERE tenant_id = %s")
    assert rows == [("completed",)]
    answered = await books.fetch(
        "SELECT answer ->> 'status' FROM kernel.idempotency_keys WHERE tenant_id = %s"
    )
    assert answered == [("completed",)]
    await books.check()


async def test_inquiries_wait_longer_each_time(books: Books) -> None:
    patient = Payments(
        books.payments.database,
        books.payments.ledger,
        books.payments.tenancy,
        {"sandbox": books.provider},
        books.payments.notifier,
        pacing=Pacing(pending_s=100, longest_s=1000),
    )
    payment = await books.pay("tok_late")
    waits = []
    for _ in range(5):
        await books.make_due()
        await recover(patient, books.tenant_id)
        rows = await books.fetch(
            "SELECT round(extract(epoch FROM next_inquiry_at - clock_timestamp()) / 100)::integer"
            " FROM payments.attempts WHERE tenant_id = %s"
        )
        waits.append(rows[0][0])
    assert waits == [2, 4, 8, 10, 10]
    assert await books.event_types(payment) == ["payment.created"]


async def test_two_recoveries_at_once_ask_once_for_each(books: Books) -> None:
    payments = await asyncio.gather(*[books.pay("tok_timeout_after") for _ in range(20)])
    await books.make_due()
    asked = await asyncio.gather(*[recover(books.payments, books.tenant_id) for _ in range(3)])
    assert sum(asked) == 20
    assert {(await books.read(payment))["status"] for payment in payments} == {"completed"}
    await books.check()


async def test_a_late_success_completes_by_the_providers_message(books: Books) -> None:
    payment = await books.pay("tok_late")
    assert payment["status"] == "processing"
    assert await tell(books, told(reference_of(books, payment), "succeeded")) == 1
    assert (await books.read(payment))["status"] == "completed"
    await books.check()


async def test_a_late_failure_fails_by_the_providers_message(books: Books) -> None:
    payment = await books.pay("tok_late")
    await tell(books, told(reference_of(books, payment), "failed"))
    row = await books.read(payment)
    assert (row["status"], row["decline_code"]) == ("failed", "declined")


async def test_the_same_message_twice_changes_nothing_and_is_kept_once(books: Books) -> None:
    payment = await books.pay("tok_late")
    event = told(reference_of(books, payment), "succeeded")
    for _ in range(3):
        assert await tell(books, event) == 1
    await asyncio.gather(*[tell(books, event) for _ in range(5)])
    kept = await books.fetch("SELECT event_id, body FROM payments.provider_events WHERE tenant_id = %s")
    assert kept == [("evt_1", message(event))]
    assert await books.event_types(payment) == ["payment.created", "payment.completed"]
    await books.check()


async def test_messages_out_of_order_leave_the_last_word_standing(books: Books) -> None:
    payment = await books.pay("tok_late")
    reference = reference_of(books, payment)
    await tell(
        books,
        told(reference, "succeeded", "evt_2"),
        told(reference, "pending", "evt_1"),
        told(reference, "failed", "evt_3"),
    )
    assert (await books.read(payment))["status"] == "completed"
    await books.check()


async def test_a_message_and_an_inquiry_that_race_book_once(books: Books) -> None:
    payment = await books.pay("tok_timeout_after")
    await books.make_due()
    event = told(reference_of(books, payment), "succeeded")
    await asyncio.gather(recover(books.payments, books.tenant_id), *[tell(books, event) for _ in range(5)])
    assert (await books.read(payment))["status"] == "completed"
    entries = await books.fetch("SELECT count(*) FROM ledger.entries WHERE tenant_id = %s")
    assert entries == [(2,)]
    await books.check()


async def test_a_success_after_a_cancellation_moves_no_money(books: Books) -> None:
    payment = await books.pay("tok_3ds")
    await books.operate(OperationKind.CANCEL, payment)
    await tell(books, told(reference_of(books, payment), "succeeded"))
    assert (await books.read(payment))["status"] == "cancelled"
    await books.check()


async def test_a_refunds_late_outcome_comes_by_message(books: Books) -> None:
    payment = await books.pay()
    books.provider.answer_operations = Outcome(OutcomeStatus.PENDING, None, None, None, None)
    await books.refund(payment, 250)
    reference = next(iter(books.provider.operations))
    assert reference.startswith("re_")
    for _ in range(2):
        await tell(books, told(reference, "succeeded", kind="refund"))
    row = await books.read(payment)
    assert (row["status"], row["refunded"]) == ("partially_refunded", 250)
    await books.check()


async def test_an_inquiry_completes_what_the_customer_has_acted_on(books: Books) -> None:
    payment = await books.pay("tok_3ds", capture_method=CaptureMethod.MANUAL)
    books.provider.charged[reference_of(books, payment)] = Outcome(
        OutcomeStatus.AUTHORIZED, "theirs", None, None, None
    )
    await books.make_due()
    await recover(books.payments, books.tenant_id)
    row = await books.read(payment)
    assert (row["status"], row["provider_reference"]) == ("authorized", "theirs")


async def test_messages_that_are_not_ours_are_ignored(books: Books) -> None:
    payment = await books.pay()
    stranger = reference_of(books, payment).replace("_1_", "_2_")
    assert await tell(books, told("order-77", "succeeded"), told(stranger, "succeeded")) == 0
    other_tenant = reference_of(books, payment).rpartition("_")[0] + "_999999"
    assert await tell(books, told(other_tenant, "succeeded")) == 0


async def test_a_message_without_a_good_signature_is_refused_and_not_kept(books: Books) -> None:
    payment = await books.pay("tok_late")
    body = message(told(reference_of(books, payment), "succeeded"))
    with pytest.raises(InvalidWebhook):
        await apply_provider_event(books.payments, "sandbox", {}, body)
    with pytest.raises(ProviderNotFound):
        await apply_provider_event(books.payments, "elsewhere", GOOD, body)
    assert (await books.read(payment))["status"] == "processing"
    assert await books.fetch("SELECT 1 FROM payments.provider_events WHERE tenant_id = %s") == []
