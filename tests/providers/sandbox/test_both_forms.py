"""The same outcomes in process and over HTTP: every test here runs against both."""

import asyncio

import pytest

from florin.providers.provider import OutcomeStatus, OutcomeUnknown
from florin.providers.sandbox.rules import provider_reference
from tests.providers.sandbox.conftest import TIMINGS, Form, make_charge

SUCCEEDED, AUTHORIZED, FAILED = OutcomeStatus.SUCCEEDED, OutcomeStatus.AUTHORIZED, OutcomeStatus.FAILED
PENDING, REQUIRES_ACTION = OutcomeStatus.PENDING, OutcomeStatus.REQUIRES_ACTION


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("success", SUCCEEDED, None),
        ("declined", FAILED, "declined"),
        ("insufficient_funds", FAILED, "insufficient_funds"),
        ("slow", SUCCEEDED, None),
        ("late_success", PENDING, None),
        ("late_failure", PENDING, None),
        ("duplicate_webhook", SUCCEEDED, None),
        ("refund_fails", SUCCEEDED, None),
        ("3ds", REQUIRES_ACTION, None),
        ("by_amount", SUCCEEDED, None),
    ],
)
async def test_a_charge_answers_as_its_token_says(
    form: Form, name: str, status: OutcomeStatus, code: str | None
) -> None:
    for charge in (make_charge(f"tok_{name}"), make_charge(vpa=f"{name}@sandbox")):
        outcome = await form.provider.charge(charge)
        assert (outcome.status, outcome.decline_code) == (status, code)
        assert outcome.provider_reference == provider_reference(charge.reference)
        assert (outcome.redirect_url is not None) == (status is REQUIRES_ACTION)
        assert (outcome.message is not None) == (status is FAILED)
        assert await form.provider.inquire(charge) == outcome


async def test_a_token_nobody_knows_is_declined_as_invalid(form: Form) -> None:
    assert (await form.provider.charge(make_charge("tok_visa"))).decline_code == "invalid_token"
    assert (await form.provider.charge(make_charge(vpa="me@okbank"))).decline_code == "invalid_vpa"


async def test_a_charge_asked_for_twice_is_answered_the_same(form: Form) -> None:
    charge = make_charge()
    assert await form.provider.charge(charge) == await form.provider.charge(charge)


async def test_tok_slow_takes_its_time(form: Form) -> None:
    started = asyncio.get_running_loop().time()
    await form.provider.charge(make_charge("tok_slow"))
    assert asyncio.get_running_loop().time() - started >= TIMINGS.slow_s


@pytest.mark.parametrize(("token", "amount_minor"), [("tok_timeout_before", 1000), ("tok_by_amount", 1091)])
async def test_a_time_out_before_the_charge_leaves_nothing_behind(
    form: Form, token: str, amount_minor: int
) -> None:
    charge = make_charge(token, amount_minor=amount_minor)
    with pytest.raises(OutcomeUnknown):
        await form.provider.charge(charge)
    assert await form.provider.inquire(charge) is None
    assert await form.provider.inquire_operation("re_none", charge) is None


@pytest.mark.parametrize(("token", "amount_minor"), [("tok_timeout_after", 1000), ("tok_by_amount", 1068)])
@pytest.mark.parametrize(("capture", "status"), [(True, SUCCEEDED), (False, AUTHORIZED)])
async def test_a_time_out_after_the_charge_is_found_by_inquiry(
    form: Form, token: str, amount_minor: int, *, capture: bool, status: OutcomeStatus
) -> None:
    charge = make_charge(token, amount_minor=amount_minor, capture=capture)
    with pytest.raises(OutcomeUnknown):
        await form.provider.charge(charge)
    outcome = await form.provider.inquire(charge)
    assert outcome is not None
    assert outcome.status is status


@pytest.mark.parametrize(("token", "status"), [("tok_late_success", SUCCEEDED), ("tok_late_failure", FAILED)])
async def test_a_late_result_comes_by_webhook_and_by_inquiry(
    form: Form, token: str, status: OutcomeStatus
) -> None:
    charge = make_charge(token)
    assert (await form.provider.charge(charge)).status is PENDING
    await form.inbox.wait_for(1)
    [event] = form.events()
    assert (event.kind, event.reference, event.outcome.status) == ("charge", charge.reference, status)
    assert event.outcome == await form.provider.inquire(charge)


async def test_a_late_success_can_be_captured_only_once_it_is_known(form: Form) -> None:
    charge = make_charge("tok_late_success", capture=False)
    outcome = await form.provider.charge(charge)
    reference = outcome.provider_reference or ""
    early = await form.provider.capture("cap_early", charge, reference, 1000)
    assert early.decline_code == "charge_not_capturable"
    assert (
        await form.provider.cancel("can_early", charge, reference)
    ).decline_code == "charge_not_cancellable"
    await form.inbox.wait_for(1)
    assert form.events()[0].outcome.status is AUTHORIZED
    assert (await form.provider.capture("cap_late", charge, reference, 1000)).status is SUCCEEDED


async def test_a_duplicate_webhook_carries_the_same_id_twice(form: Form) -> None:
    charge = make_charge("tok_duplicate_webhook")
    assert (await form.provider.charge(charge)).status is SUCCEEDED
    await form.inbox.wait_for(2)
    first, second = form.events()
    assert first == second
    assert first.outcome == await form.provider.inquire(charge)


async def test_a_normal_success_sends_no_webhook(form: Form) -> None:
    await form.provider.charge(make_charge())
    await asyncio.sleep(5 * TIMINGS.webhook_s)
    assert form.inbox.attempts == 0


async def test_a_webhook_that_was_not_taken_comes_again(form: Form) -> None:
    form.inbox.refusals = 3
    await form.provider.charge(make_charge("tok_late_success"))
    await form.inbox.wait_for(1)
    assert form.inbox.attempts == 4
    assert form.events()[0].outcome.status is SUCCEEDED


@pytest.mark.parametrize(
    ("decision", "capture", "status", "code"),
    [
        ("approve", True, SUCCEEDED, None),
        ("approve", False, AUTHORIZED, None),
        ("decline", True, FAILED, "authentication_failed"),
    ],
)
async def test_the_redirect_page_decides(
    form: Form, decision: str, capture: bool, status: OutcomeStatus, code: str | None
) -> None:
    charge = make_charge("tok_3ds", capture=capture, return_url="https://shop.test/back?order=1")
    url = (await form.provider.charge(charge)).redirect_url
    assert url is not None
    page = await form.look(url)
    assert page.status_code == 200
    assert "1000 USD" in page.text
    answer = await form.press(url, decision)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.test/back?order=1")
    await form.inbox.wait_for(1)
    [event] = form.events()
    assert (event.reference, event.outcome.status) == (charge.reference, status)
    assert event.outcome.decline_code == code
    assert await form.provider.inquire(charge) == event.outcome


async def test_a_decision_is_taken_once(form: Form) -> None:
    url = (await form.provider.charge(make_charge("tok_3ds"))).redirect_url
    assert url is not None
    assert "Declined" in (await form.press(url, "decline")).text
    assert (await form.press(url, "approve")).status_code == 404
    assert (await form.look(url)).status_code == 404


async def test_the_redirect_page_takes_nothing_but_its_two_buttons(form: Form) -> None:
    url = (await form.provider.charge(make_charge("tok_3ds"))).redirect_url
    assert url is not None
    assert (await form.press(url, "steal")).status_code == 422
    assert (await form.look(url)).status_code == 200


async def test_a_cancelled_redirect_cannot_be_approved(form: Form) -> None:
    charge = make_charge("tok_3ds")
    outcome = await form.provider.charge(charge)
    assert outcome.redirect_url is not None
    cancel = await form.provider.cancel("can_3ds", charge, outcome.provider_reference or "")
    assert cancel.status is SUCCEEDED
    assert (await form.press(outcome.redirect_url, "approve")).status_code == 404
    after = await form.provider.inquire(charge)
    assert after is not None
    assert after.decline_code == "cancelled"


async def test_an_approved_redirect_can_be_captured_and_refunded(form: Form) -> None:
    charge = make_charge("tok_3ds", capture=False)
    outcome = await form.provider.charge(charge)
    assert outcome.redirect_url is not None
    await form.press(outcome.redirect_url, "approve")
    reference = outcome.provider_reference or ""
    assert (await form.provider.capture("cap_3ds", charge, reference, 400)).status is SUCCEEDED
    assert (await form.provider.refund("re_3ds", charge, reference, 400)).status is SUCCEEDED


async def test_a_reservation_is_captured_then_refunded(form: Form) -> None:
    charge = make_charge(capture=False)
    outcome = await form.provider.charge(charge)
    assert outcome.status is AUTHORIZED
    reference = outcome.provider_reference or ""
    for operation in (
        await form.provider.capture("cap_1", charge, reference, 1000),
        await form.provider.inquire_operation("cap_1", charge),
        await form.provider.capture("cap_1", charge, reference, 1000),
    ):
        assert operation is not None
        assert (operation.status, operation.provider_reference) == (SUCCEEDED, provider_reference("cap_1"))
    assert (await form.provider.refund("re_1", charge, reference, 1000)).status is SUCCEEDED
    assert await form.provider.inquire_operation("re_1", charge) == await form.provider.refund(
        "re_1", charge, reference, 1000
    )


async def test_more_than_the_charge_is_neither_captured_nor_refunded(form: Form) -> None:
    reserved, taken = make_charge(capture=False), make_charge()
    await form.provider.charge(reserved)
    await form.provider.charge(taken)
    assert (await form.provider.capture("cap_2", reserved, "", 1001)).decline_code == "amount_too_large"
    assert (await form.provider.refund("re_2", taken, "", 1001)).decline_code == "amount_too_large"


async def test_what_was_taken_at_once_is_neither_captured_nor_cancelled(form: Form) -> None:
    charge = make_charge()
    await form.provider.charge(charge)
    assert (await form.provider.capture("cap_3", charge, "", 1)).decline_code == "charge_not_capturable"
    assert (await form.provider.cancel("can_3", charge, "")).decline_code == "charge_not_cancellable"


async def test_a_declined_charge_can_only_be_left_alone(form: Form) -> None:
    charge = make_charge("tok_declined", capture=False)
    await form.provider.charge(charge)
    assert (await form.provider.capture("cap_4", charge, "", 1)).decline_code == "charge_not_capturable"
    assert (await form.provider.cancel("can_4", charge, "")).decline_code == "charge_not_cancellable"
    assert (await form.provider.refund("re_4", charge, "", 1)).decline_code == "charge_not_refundable"


async def test_a_cancelled_reservation_stays_cancelled(form: Form) -> None:
    charge = make_charge(capture=False)
    await form.provider.charge(charge)
    first = await form.provider.cancel("can_5", charge, "")
    assert first.status is SUCCEEDED
    assert await form.provider.cancel("can_5", charge, "") == first
    assert (await form.provider.cancel("can_5_again", charge, "")).status is SUCCEEDED
    assert (await form.provider.capture("cap_5", charge, "", 1)).decline_code == "charge_not_capturable"


async def test_tok_refund_fails_fails_every_refund_and_nothing_else(form: Form) -> None:
    charge = make_charge("tok_refund_fails", capture=False)
    await form.provider.charge(charge)
    assert (await form.provider.capture("cap_6", charge, "", 1000)).status is SUCCEEDED
    refund = await form.provider.refund("re_6", charge, "", 500)
    assert (refund.status, refund.decline_code) == (FAILED, "refund_failed")
    assert await form.provider.inquire_operation("re_6", charge) == refund
    captured = await form.provider.inquire_operation("cap_6", charge)
    assert captured is not None
    assert captured.status is SUCCEEDED


async def test_operations_on_a_charge_that_never_was_are_refused(form: Form) -> None:
    charge = make_charge("tok_timeout_before")
    assert (await form.provider.capture("cap_7", charge, "", 1)).decline_code == "unknown_charge"
    assert (await form.provider.cancel("can_7", charge, "")).decline_code == "unknown_charge"
    assert (await form.provider.refund("re_7", charge, "", 1)).decline_code == "unknown_charge"
