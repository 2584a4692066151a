from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.clock import now
from florin.providers.provider import Charge, OutcomeStatus
from florin.providers.sandbox.book import Book, ReferenceReused, UnknownCharge
from tests.providers.sandbox.conftest import make_charge

AT = now()
SUCCEEDED, FAILED = OutcomeStatus.SUCCEEDED, OutcomeStatus.FAILED


def link(charge: Charge) -> str:
    return f"http://bank.test/redirect/{charge.reference}"


def book(*charges: Charge, max_charges: int = 100) -> Book:
    made = Book(late_s=2, max_charges=max_charges)
    for charge in charges:
        made.take(charge, AT, link)
    return made


def test_a_charge_asked_for_five_times_takes_its_money_once() -> None:
    charge = make_charge(amount_minor=700)
    stats = book(*[charge] * 5).stats(AT, newest=10)
    assert (stats["charges"], stats["charge_requests"], stats["taken_minor"]) == (1, 5, {"USD": 700})
    assert stats["newest"][0]["reference"] == charge.reference
    assert stats["newest"][0]["requests"] == 5


def test_a_reference_cannot_serve_another_amount() -> None:
    charge = make_charge(amount_minor=700)
    with pytest.raises(ReferenceReused):
        book(charge).take(make_charge(amount_minor=701, reference=charge.reference), AT, link)


def test_a_reference_cannot_serve_another_operation() -> None:
    charge = make_charge()
    made = book(charge)
    made.refund("re_1", charge.reference, 100, AT)
    with pytest.raises(ReferenceReused):
        made.refund("re_1", charge.reference, 101, AT)
    with pytest.raises(ReferenceReused):
        made.cancel("re_1", charge.reference, AT)


def test_an_operation_on_no_charge_is_refused() -> None:
    with pytest.raises(UnknownCharge):
        book().capture("cap_1", "att_none", 1, AT)


def test_captures_add_up_to_the_charge_and_not_one_unit_more() -> None:
    charge = make_charge(amount_minor=1000, capture=False)
    made = book(charge)
    assert made.capture("cap_1", charge.reference, 600, AT).status is SUCCEEDED
    assert made.capture("cap_2", charge.reference, 401, AT).decline_code == "amount_too_large"
    assert made.capture("cap_3", charge.reference, 400, AT).status is SUCCEEDED
    assert made.capture("cap_4", charge.reference, 1, AT).decline_code == "amount_too_large"
    assert made.stats(AT, newest=0)["taken_minor"] == {"USD": 1000}


def test_refunds_add_up_to_what_was_captured_and_not_one_unit_more() -> None:
    charge = make_charge(amount_minor=1000, capture=False)
    made = book(charge)
    assert made.refund("re_0", charge.reference, 1, AT).decline_code == "charge_not_refundable"
    made.capture("cap_1", charge.reference, 600, AT)
    assert made.refund("re_1", charge.reference, 500, AT).status is SUCCEEDED
    assert made.refund("re_2", charge.reference, 101, AT).decline_code == "amount_too_large"
    assert made.refund("re_3", charge.reference, 100, AT).status is SUCCEEDED
    assert made.stats(AT, newest=0)["refunded_minor"] == {"USD": 600}


def test_a_captured_charge_cannot_be_cancelled() -> None:
    charge = make_charge(capture=False)
    made = book(charge)
    made.capture("cap_1", charge.reference, 1, AT)
    assert made.cancel("can_1", charge.reference, AT).decline_code == "charge_not_cancellable"


def test_a_late_charge_takes_its_money_when_its_time_has_come() -> None:
    charge = make_charge("tok_late_success", amount_minor=700)
    made = book(charge)
    assert made.stats(AT + timedelta(seconds=1.9), newest=0)["taken_minor"] == {}
    assert made.stats(AT + timedelta(seconds=2), newest=0)["taken_minor"] == {"USD": 700}


def test_the_first_decision_of_the_buyer_stands() -> None:
    charge = make_charge("tok_3ds")
    made = book(charge)
    assert made.decide(charge.reference, approved=False).status is FAILED
    assert made.decide(charge.reference, approved=True).status is FAILED


def test_the_oldest_charges_are_forgotten_but_their_sums_are_not() -> None:
    charges = [make_charge(amount_minor=100) for _ in range(5)]
    made = book(*charges, max_charges=2)
    stats = made.stats(AT, newest=10)
    assert [line["reference"] for line in stats["newest"]] == [
        charges[4].reference,
        charges[3].reference,
    ]
    assert (stats["charges"], stats["taken_minor"]) == (5, {"USD": 500})
    with pytest.raises(UnknownCharge):
        made.entry(charges[0].reference)


def test_operations_are_bounded_too() -> None:
    charge = make_charge(amount_minor=1000)
    made = book(charge, max_charges=2)
    for number in range(8):
        made.refund(f"re_{number}", charge.reference, 1, AT)
    assert made.operation("re_1") is None
    assert made.operation("re_2") is not None


@given(
    st.lists(st.tuples(st.sampled_from(["capture", "refund", "cancel"]), st.integers(1, 120)), max_size=30)
)
def test_whatever_is_asked_no_charge_gives_more_than_it_has(steps: list[tuple[str, int]]) -> None:
    charge = make_charge(amount_minor=100, capture=False)
    made = book(charge)
    captured = refunded = 0
    for number, (step, amount_minor) in enumerate(steps):
        reference = f"op_{number}"
        if step == "capture":
            outcome = made.capture(reference, charge.reference, amount_minor, AT)
            captured += amount_minor if outcome.status is SUCCEEDED else 0
        elif step == "refund":
            outcome = made.refund(reference, charge.reference, amount_minor, AT)
            refunded += amount_minor if outcome.status is SUCCEEDED else 0
        else:
            made.cancel(reference, charge.reference, AT)
        assert 0 <= refunded <= captured <= 100
    line = made.stats(AT, newest=1)["newest"][0]
    assert (line["taken_minor"], line["refunded_minor"]) == (captured, refunded)
