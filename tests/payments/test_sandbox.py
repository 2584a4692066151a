"""Every course that the sandbox knows, to its end: with its own webhooks, and with inquiries instead."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import pytest

from florin.payments.model import CaptureMethod, NewPayment, OperationKind
from florin.payments.recovery import apply_provider_event, recover
from florin.payments.room import Pacing, Payments
from florin.payments.service import create_payment
from florin.providers.provider import Method
from florin.providers.sandbox.in_process import InProcessSandbox
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.rules import Timings
from tests.payments.conftest import Books, FakeProvider, fresh_key

TIMINGS = Timings(slow_s=0.01, late_s=0.05, webhook_s=0.01, unanswered_s=0.01)

ENDS = {
    "tok_success": ("completed", "completed"),
    "tok_declined": ("failed", "failed"),
    "tok_insufficient_funds": ("failed", "failed"),
    "tok_3ds": ("requires_action", "requires_action"),
    "tok_slow": ("completed", "completed"),
    "tok_timeout_before": ("processing", "failed"),
    "tok_timeout_after": ("processing", "completed"),
    "tok_late_success": ("processing", "completed"),
    "tok_late_failure": ("processing", "failed"),
    "tok_duplicate_webhook": ("completed", "completed"),
    "tok_refund_fails": ("completed", "completed"),
    "tok_nonsense": ("failed", "failed"),
}


@pytest.fixture
async def sandbox_books(books: Books) -> AsyncIterator[Books]:
    """The same books with the sandbox as their provider, which webhooks reach."""

    async def deliver(headers: Mapping[str, str], body: bytes) -> None:
        await apply_provider_event(opened, "sandbox", headers, body)

    sandbox = InProcessSandbox(
        keys=SandboxKeys.derive("sandbox_for_tests"),
        deliver=deliver,
        redirect_url="http://127.0.0.1/sandbox/redirect",
        timings=TIMINGS,
    )
    old = books.payments
    opened = Payments(
        old.database,
        old.ledger,
        old.tenancy,
        {"sandbox": sandbox},
        old.notifier,
        pacing=Pacing(unknown_s=0, pending_s=3600, action_s=0, charge_again_for_s=0),
    )
    yield Books(opened, books.tenant_id, FakeProvider())
    await sandbox.close()


@pytest.mark.parametrize(("token", "ends"), ENDS.items())
async def test_each_token_ends_as_it_says(sandbox_books: Books, token: str, ends: tuple[str, str]) -> None:
    begun, ended = ends
    payment = await sandbox_books.pay(token)
    assert payment["status"] == begun
    if begun == "processing" and token.startswith("tok_timeout"):
        assert await recover(sandbox_books.payments, sandbox_books.tenant_id) == 1
    for _ in range(100):
        if (await sandbox_books.read(payment))["status"] == ended:
            break
        await asyncio.sleep(0.02)
    assert (await sandbox_books.read(payment))["status"] == ended
    await sandbox_books.check()


async def test_an_inquiry_finds_late_results_when_the_webhook_never_came(sandbox_books: Books) -> None:
    provider = sandbox_books.payments.providers["sandbox"]
    paid = [await sandbox_books.pay(token) for token in ("tok_late_success", "tok_late_failure")]
    await provider.close()
    await asyncio.sleep(0.06)
    await sandbox_books.make_due()
    await recover(sandbox_books.payments, sandbox_books.tenant_id)
    statuses = [(await sandbox_books.read(payment))["status"] for payment in paid]
    assert statuses == ["completed", "failed"]
    await sandbox_books.check()


async def test_a_refund_that_the_sandbox_refuses_fails(sandbox_books: Books) -> None:
    payment = await sandbox_books.pay("tok_refund_fails")
    refund = await sandbox_books.refund(payment, 100)
    assert (refund["status"], refund["failure_code"]) == ("failed", "refund_failed")
    await sandbox_books.check()


async def test_authorizing_capturing_and_refunding_at_the_sandbox(sandbox_books: Books) -> None:
    payment = await sandbox_books.pay(capture_method=CaptureMethod.MANUAL)
    assert payment["status"] == "authorized"
    await sandbox_books.operate(OperationKind.CAPTURE, payment, 600, final=True)
    await sandbox_books.refund(payment, 200)
    row = await sandbox_books.read(payment)
    assert (row["status"], row["captured"], row["refunded"]) == ("partially_refunded", 600, 200)
    cancelled = await sandbox_books.pay(capture_method=CaptureMethod.MANUAL)
    assert (await sandbox_books.operate(OperationKind.CANCEL, cancelled))["status"] == "cancelled"
    await sandbox_books.check()


async def test_a_upi_address_takes_the_same_courses(sandbox_books: Books) -> None:
    for vpa, status in (("success@sandbox", "completed"), ("declined@sandbox", "failed")):
        request = NewPayment(900, "INR", Method("upi", None, vpa))
        answer = await create_payment(
            sandbox_books.payments, sandbox_books.tenant_id, None, request, fresh_key()
        )
        assert answer.snapshot["status"] == status
        assert UUID(answer.snapshot["id"])
