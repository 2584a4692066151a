"""Creating and confirming payments, on a real database with a provider that does as it is told."""

import asyncio
from uuid import UUID

import pytest

from florin.kernel.errors import IdempotencyKeyReused, RequestInFlight
from florin.kernel.idempotency import Idempotency, idempotency
from florin.payments.errors import CurrencyNotSupported, MethodNotSupported, PaymentNotConfirmable
from florin.payments.model import Answer, CaptureMethod, NewPayment
from florin.payments.service import confirm_payment, create_payment
from florin.providers.provider import Method, NotSent, Outcome, OutcomeStatus
from tests.payments.conftest import CARD, Books, FakeProvider, fresh_key


async def create(books: Books, request: NewPayment, key: Idempotency) -> Answer:
    return await create_payment(books.payments, books.tenant_id, None, request, key)


async def test_a_successful_payment_is_completed_and_booked(books: Books) -> None:
    payment = await books.pay(amount_minor=1999)
    assert payment["status"] == "completed"
    assert (payment["authorized"], payment["captured"], payment["refunded"]) == (1999, 1999, 0)
    assert await books.balances() == {
        "partner:tenant:payable:USD": 1999,
        "provider:sandbox:receivable:USD": 1999,
    }
    assert await books.event_types(payment) == ["payment.created", "payment.completed"]
    await books.check()


async def test_every_event_is_owed_to_the_endpoints(books: Books) -> None:
    await books.pay()
    owed = await books.fetch("SELECT event_id FROM kernel.outbox WHERE tenant_id = %s ORDER BY 1")
    events = await books.fetch("SELECT id FROM kernel.events WHERE tenant_id = %s ORDER BY 1")
    assert owed == events
    assert len(owed) == 2


async def test_a_declined_payment_fails_and_moves_no_money(books: Books) -> None:
    payment = await books.pay("tok_declined")
    assert payment["status"] == "failed"
    assert payment["decline_code"] == "card_declined"
    assert payment["decline_message"] == "The card was declined."
    assert "failed_at" in payment
    assert await books.balances() == {}


async def test_the_same_key_gets_the_same_answer_and_charges_once(books: Books) -> None:
    for token in ("tok_success", "tok_declined"):
        request, key = NewPayment(500, "USD", Method("card", token, None)), fresh_key()
        first = await create(books, request, key)
        charges = books.provider.calls["charge"]
        second = await create(books, request, key)
        assert second.replayed
        assert not first.replayed
        assert second.snapshot == first.snapshot
        assert books.provider.calls["charge"] == charges
    await books.check()


async def test_the_same_key_with_another_body_is_refused(books: Books) -> None:
    key = fresh_key()
    await create(books, NewPayment(500, "USD", CARD), key)
    with pytest.raises(IdempotencyKeyReused):
        await create(books, NewPayment(501, "USD", CARD), Idempotency(key.slot, fresh_key().slot))


async def test_a_key_that_is_still_worked_on_says_so(books: Books) -> None:
    request, key = NewPayment(500, "USD", Method("card", "tok_wait", None)), fresh_key()
    first = asyncio.create_task(create(books, request, key))
    await books.provider.waiting.wait()
    with pytest.raises(RequestInFlight):
        await create(books, request, key)
    books.provider.gate.set()
    assert (await first).snapshot["status"] == "completed"
    assert (await create(books, request, key)).replayed


async def test_twenty_callers_with_one_key_make_one_payment(books: Books) -> None:
    request, key = NewPayment(500, "USD", CARD), idempotency("tenant", "test", "one", b"{}")
    answers = await asyncio.gather(*[create(books, request, key) for _ in range(20)], return_exceptions=True)
    made = [answer for answer in answers if isinstance(answer, Answer)]
    assert all(isinstance(answer, (Answer, RequestInFlight)) for answer in answers)
    assert len({answer.snapshot["id"] for answer in made}) == 1
    assert books.provider.calls["charge"] == 1
    await books.check()


async def test_many_payments_at_once_are_all_booked(books: Books) -> None:
    tokens = ["tok_success", "tok_declined", "tok_success", "tok_3ds"] * 10
    paid = await asyncio.gather(*[books.pay(token) for token in tokens])
    statuses = [payment["status"] for payment in paid]
    assert statuses == ["completed", "failed", "completed", "requires_action"] * 10
    await books.check()
    assert (await books.balances())["partner:tenant:payable:USD"] == 20_000


async def test_a_provider_that_cannot_be_reached_fails_the_payment(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(charge: object) -> Outcome:
        raise NotSent

    monkeypatch.setattr(books.provider, "charge", unreachable)
    payment = await books.pay()
    assert (payment["status"], payment["decline_code"]) == ("failed", "provider_unreachable")


async def test_unknown_currencies_and_methods_are_refused_and_nothing_is_written(books: Books) -> None:
    for currency in ("ABC", "XAU", "XXX"):
        with pytest.raises(CurrencyNotSupported) as refused:
            await create(books, NewPayment(1, currency, CARD), fresh_key())
        assert refused.value.param == "currency"
    with pytest.raises(MethodNotSupported):
        await create(books, NewPayment(1, "USD", Method("cash", "x", None)), fresh_key())
    assert await books.fetch("SELECT id FROM payments.payments WHERE tenant_id = %s") == []
    assert await books.fetch("SELECT slot FROM kernel.idempotency_keys WHERE tenant_id = %s") == []


async def test_a_payment_can_be_recorded_now_and_charged_later(books: Books) -> None:
    request, key = NewPayment(700, "USD", CARD, confirm=False), fresh_key()
    pending = (await create(books, request, key)).snapshot
    assert pending["status"] == "pending"
    assert books.provider.calls["charge"] == 0
    assert (await create(books, request, key)).snapshot == pending

    confirmation = fresh_key()
    payment_id = UUID(pending["id"])
    done = await confirm_payment(books.payments, books.tenant_id, None, payment_id, confirmation)
    assert done.snapshot["status"] == "completed"
    again = await confirm_payment(books.payments, books.tenant_id, None, payment_id, confirmation)
    assert again.replayed
    assert again.snapshot == done.snapshot
    assert books.provider.calls["charge"] == 1
    assert await books.event_types(pending) == [
        "payment.created",
        "payment.processing",
        "payment.completed",
    ]
    with pytest.raises(PaymentNotConfirmable):
        await confirm_payment(books.payments, books.tenant_id, None, payment_id, fresh_key())
    await books.check()


async def test_twenty_confirmations_at_once_charge_once(books: Books) -> None:
    pending = await books.pay(confirm=False)
    outcomes = await asyncio.gather(
        *[
            confirm_payment(books.payments, books.tenant_id, None, UUID(pending["id"]), fresh_key())
            for _ in range(20)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, PaymentNotConfirmable) for outcome in outcomes) == 19
    assert books.provider.calls["charge"] == 1
    await books.check()


async def test_three_d_secure_redirects_and_completes_by_confirmation(books: Books) -> None:
    payment = await books.pay("tok_3ds")
    assert payment["status"] == "requires_action"
    assert payment["redirect_url"] == "https://bank.example/3ds"
    payment_id = UUID(payment["id"])

    waiting = await confirm_payment(books.payments, books.tenant_id, None, payment_id, fresh_key())
    assert waiting.snapshot["status"] == "requires_action"

    reference = next(iter(books.provider.charged))
    books.provider.charged[reference] = Outcome(OutcomeStatus.SUCCEEDED, None, None, None, None)
    key = fresh_key()
    done = await confirm_payment(books.payments, books.tenant_id, None, payment_id, key)
    assert done.snapshot["status"] == "completed"
    assert done.snapshot["provider_reference"] == "fake_3ds"
    assert "redirect_url" not in done.snapshot
    again = await confirm_payment(books.payments, books.tenant_id, None, payment_id, key)
    assert again.snapshot == done.snapshot
    await books.check()


async def test_manual_capture_only_authorizes(books: Books) -> None:
    payment = await books.pay(capture_method=CaptureMethod.MANUAL)
    assert payment["status"] == "authorized"
    assert (payment["authorized"], payment["captured"]) == (1000, 0)
    assert await books.balances() == {}


async def test_a_lost_answer_of_the_first_call_does_not_look_like_a_replay(
    books: Books, provider: FakeProvider
) -> None:
    """The coalescer sends a group again when the connection broke at the commit."""
    flight = books.payments.opening
    send = flight._send

    async def twice(group: list[object]) -> list[object]:
        await send(group)  # type: ignore[arg-type]
        return await send(group)  # type: ignore[arg-type, return-value]

    flight._send = twice  # type: ignore[method-assign, assignment]
    payment = await books.pay()
    assert payment["status"] == "completed"
    pending = await books.pay(confirm=False)
    assert pending["status"] == "pending"
    await books.check()
