"""What the texts of fields mean."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.ledger.bulk.fields import (
    Misread,
    amount_minor,
    bound_minor,
    check_text,
    copied,
    instant,
    metadata,
)


def test_amounts_are_whole_and_in_range() -> None:
    assert amount_minor("1") == 1
    assert amount_minor("0010") == 10
    assert amount_minor(str(10**15)) == 10**15
    assert amount_minor("-7", signed=True) == -7
    assert amount_minor("0", signed=True) == 0
    for wrong in ("", "0", "-1", "+1", "1.0", "1e3", " 1", "1_0", "\u0661", str(10**15 + 1), "9" * 5000):
        with pytest.raises(Misread):
            amount_minor(wrong)


def test_bounds_may_be_absent_or_negative() -> None:
    assert bound_minor("min_balance", "") is None
    assert bound_minor("min_balance", str(-(10**18))) == -(10**18)
    for wrong in ("x", str(10**18 + 1), "1.5"):
        with pytest.raises(Misread):
            bound_minor("min_balance", wrong)


def test_instants_have_an_offset_or_are_days() -> None:
    assert instant("effective_at", "2024-02-29") == datetime(2024, 2, 29, tzinfo=UTC)
    assert instant("effective_at", "2024-02-29T01:00:00+01:00") == datetime(2024, 2, 29, tzinfo=UTC)
    for wrong in ("2023-02-29", "2024-02-29T01:00:00", "1899-12-31", "9999-01-01", "1709164800", "20240229"):
        with pytest.raises(Misread):
            instant("effective_at", wrong)


def test_texts_are_bounded_and_hold_no_card_number() -> None:
    check_text("description", "Invoice 1234567890123456")
    for wrong in ("x" * 501, "a\x00b", "5555-5555-5555-4444"):
        with pytest.raises(Misread):
            check_text("description", wrong)
    assert metadata('{"a": {"b": 1}}') == {"a": {"b": 1}}
    for wrong in ("[]", "{", '{"a": "\\u0000"}', '"x"'):
        with pytest.raises(Misread):
            metadata(wrong)


@given(st.text())
def test_what_copy_reads_is_what_was_said(text: str) -> None:
    line = copied(text)
    assert not {"\t", "\n", "\r"} & set(line)
    back = line.replace("\\\\", "\x00").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    if "\x00" not in text:
        assert back.replace("\x00", "\\") == text
