from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.providers.provider import Charge, Method, Outcome, OutcomeStatus
from florin.providers.sandbox.wire import (
    ChargeBody,
    OutcomeBody,
    charge_event,
    charge_json,
    event_json,
    outcome_json,
    read_event,
)

TEXT = st.none() | st.text(max_size=40)
OUTCOMES = st.builds(Outcome, st.sampled_from(OutcomeStatus), TEXT, TEXT, TEXT, TEXT)


@given(OUTCOMES)
def test_an_outcome_arrives_as_it_was_sent(outcome: Outcome) -> None:
    assert OutcomeBody.model_validate(outcome_json("att_1", outcome)).outcome() == outcome


@given(OUTCOMES)
def test_an_event_arrives_as_it_was_sent(outcome: Outcome) -> None:
    event = charge_event("att_1", outcome)
    assert read_event(event_json(event, datetime.now(UTC))) == event


@pytest.mark.parametrize("method", [Method("card", token="tok_success"), Method("upi", vpa="a@sandbox")])
@pytest.mark.parametrize("capture", [True, False])
def test_a_charge_arrives_as_it_was_sent(method: Method, *, capture: bool) -> None:
    at = datetime(2026, 11, 20, 13, 7, 41, 123456, tzinfo=UTC)
    charge = Charge("att_1", 10**15, "KWD", method, capture, "https://shop.test/?a=b", "Tea & cake", at)
    assert ChargeBody.model_validate(charge_json(charge)).charge("att_1") == charge


def test_the_same_news_has_the_same_id_and_other_news_another() -> None:
    succeeded, failed = Outcome(OutcomeStatus.SUCCEEDED), Outcome(OutcomeStatus.FAILED)
    ids = [
        charge_event(*news).id for news in [("a", succeeded), ("a", succeeded), ("a", failed), ("b", failed)]
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
