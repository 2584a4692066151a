from collections.abc import Mapping
from datetime import timedelta

import pytest

from florin.kernel.clock import now
from florin.providers.provider import InvalidWebhook, Outcome, OutcomeStatus
from florin.providers.sandbox.signature import SIGNATURE, TIMESTAMP, parse_webhook, sign
from florin.providers.sandbox.wire import charge_event, event_json

KEY = b"k" * 32
AT = now()
EVENT = charge_event("att_1", Outcome(OutcomeStatus.SUCCEEDED, "sbx_1"))
BODY = event_json(EVENT, AT)


def parse(headers: Mapping[str, str], body: bytes = BODY, *, key: bytes = KEY, late_s: float = 0) -> object:
    return parse_webhook(key, headers, body, AT + timedelta(seconds=late_s))


def test_a_signed_event_comes_out_as_it_went_in() -> None:
    assert parse(sign(KEY, BODY, AT)) == [EVENT]


def test_header_names_may_come_in_any_case() -> None:
    assert parse({name.upper(): value for name, value in sign(KEY, BODY, AT).items()}) == [EVENT]


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(InvalidWebhook, match="signature"):
        parse(sign(KEY, BODY, AT), BODY.replace(b"succeeded", b"authorized"))


def test_another_secret_is_refused() -> None:
    with pytest.raises(InvalidWebhook, match="signature"):
        parse(sign(KEY, BODY, AT), key=b"x" * 32)


def test_a_changed_time_is_refused() -> None:
    headers = sign(KEY, BODY, AT)
    headers[TIMESTAMP] = str(int(headers[TIMESTAMP]) + 1)
    with pytest.raises(InvalidWebhook, match="signature"):
        parse(headers)


@pytest.mark.parametrize("late_s", [302, -302])
def test_a_signature_more_than_five_minutes_off_is_refused(late_s: float) -> None:
    with pytest.raises(InvalidWebhook, match="within 300 s"):
        parse(sign(KEY, BODY, AT), late_s=late_s)


@pytest.mark.parametrize("late_s", [298, -298])
def test_a_signature_less_than_five_minutes_off_is_taken(late_s: float) -> None:
    assert parse(sign(KEY, BODY, AT), late_s=late_s) == [EVENT]


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "9" * 400, "\u0661", "\u00b2"])
def test_a_time_that_is_no_number_is_refused(timestamp: str) -> None:
    with pytest.raises(InvalidWebhook) as refusal:
        parse(sign(KEY, BODY, AT) | {TIMESTAMP: timestamp})
    assert refusal.value.param == TIMESTAMP


@pytest.mark.parametrize("signature", ["", "v1=", "v1=00", "v2=00", "\u00e9"])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    with pytest.raises(InvalidWebhook) as refusal:
        parse(sign(KEY, BODY, AT) | {SIGNATURE: signature})
    assert refusal.value.param == SIGNATURE
    assert refusal.value.status == 400


def test_no_headers_at_all_are_refused() -> None:
    with pytest.raises(InvalidWebhook):
        parse({})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": "e", "kind": "charge"}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        parse(sign(KEY, body, AT), body)


def test_the_refusal_names_the_field() -> None:
    body = BODY.replace(b'"charge"', b'"party"')
    with pytest.raises(InvalidWebhook) as refusal:
        parse(sign(KEY, body, AT), body)
    assert refusal.value.param == "kind"
