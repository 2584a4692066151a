"""What is masked, and what is let pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.redaction import HIDDEN, redact_field, redact_text, redact_value


@pytest.mark.parametrize(
    "secret",
    [
        "fl_test_1_abcDEF-_123456",
        "fl_rt_1_abcDEF-_123456",
        "fl_cs_live_1_abcDEF-_1234",
        "fl_ch_1_abcDEF-_123456",
        "whsec_QUJDREVG",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ann.smith+shop@mail.example",
        "+27 11 555 0100",
        "+27115550100",
        "+1 (415) 555-0123",
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "4242 4242 4242 4242",
        "otpauth://totp/Florin:ann?secret=JBSWY3DP",
    ],
)
def test_what_has_the_form_of_a_secret_is_masked_in_a_sentence(secret: str) -> None:
    masked = redact_text(f"before {secret} after")
    assert masked == f"before {HIDDEN} after"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T13:07:41.914273+00:00",
        "child api-0 ended with -9, restart in 0.2 s",
        "tr_01h455vb4pex5vsknk084sn02q of customer:1024:wallet",
        "SQLSTATE 23505, relation 16384, 1000000 rows",
        "DE88370400440532013000 is no IBAN: its check digits are wrong",
        "florin/kernel/db.py:42 in tenant",
        "code 12345678",
    ],
)
def test_an_ordinary_sentence_is_let_pass(text: str) -> None:
    assert redact_text(text) == text


NAMES = (
    "password new_password totp_secret recovery_codes email phone_number account_number iban access_token"
    " user_name client_assertion name_sealed X-Api-Key Cookie"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_a_field_named_for_a_secret_is_masked_whatever_it_holds(name: str) -> None:
    assert redact_field(name, ["anything"]) == HIDDEN
    assert redact_value({"deep": [{name: "anything"}]}) == {"deep": [{name: HIDDEN}]}


def test_six_digits_are_masked_in_a_field_of_a_code_and_other_codes_are_not() -> None:
    assert redact_field("code", "914273") == HIDDEN
    assert redact_field("exit_code", -9) == -9
    assert redact_field("decline_code", "insufficient_funds") == "insufficient_funds"


def test_an_object_is_shown_as_it_prints_and_masked_like_a_text() -> None:
    shown = redact_value(ValueError("no such user: ann@shop.example"))
    assert shown == f"ValueError('no such user: {HIDDEN}')"


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_comes_is_masked_once_and_stays_as_it_is(value: object) -> None:
    once = redact_value(value)
    assert redact_value(once) == once
