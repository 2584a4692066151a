"""Forms, and the credentials in them."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.access.tokens.errors import OAuthError, OAuthRefused
from florin.access.tokens.form import Credentials, credentials_of, fields_of


def basic(text: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + b64encode(text.encode())}


def error_of(headers: dict[bytes, bytes], fields: dict[str, str]) -> OAuthError:
    with pytest.raises(OAuthRefused) as refused:
        credentials_of(headers, fields)
    return refused.value.error


def test_fields_are_read_and_empty_ones_are_as_if_they_were_not_there() -> None:
    assert fields_of(b"grant_type=client_credentials&scope=a+b%3Ac&empty=") == {
        "grant_type": "client_credentials",
        "scope": "a b:c",
    }
    assert fields_of(b"") == {}


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=&a=", b"\xff=1", b"a=%ff", b"&".join([b"a=1"] * 21)])
def test_a_form_that_is_unreadable_or_ambiguous_is_refused(body: bytes) -> None:
    with pytest.raises(OAuthRefused) as refused:
        fields_of(body)
    assert refused.value.error is OAuthError.INVALID_REQUEST


def test_credentials_stand_in_the_header_or_in_the_form() -> None:
    expected = Credentials("key_1", "fl_cs_test_1_x")
    assert credentials_of(basic("key_1:fl_cs_test_1_x"), {}) == expected
    assert credentials_of(basic("key%5F1:fl_cs_test_1_x"), {"client_id": "key_1"}) == expected
    assert credentials_of({}, {"client_id": "key_1", "client_secret": "fl_cs_test_1_x"}) == expected


def test_credentials_that_are_missing_or_stand_twice_are_refused() -> None:
    assert error_of({}, {}) is OAuthError.INVALID_CLIENT
    assert error_of({}, {"client_id": "key_1"}) is OAuthError.INVALID_CLIENT
    assert error_of({b"authorization": b"Bearer x"}, {}) is OAuthError.INVALID_CLIENT
    assert error_of({b"authorization": b"Basic ***"}, {}) is OAuthError.INVALID_CLIENT
    assert error_of({b"authorization": b"Basic /////w=="}, {}) is OAuthError.INVALID_CLIENT
    assert error_of(basic("a:b"), {"client_id": "a", "client_secret": "b"}) is OAuthError.INVALID_REQUEST
    assert error_of(basic("a:b"), {"client_id": "other"}) is OAuthError.INVALID_REQUEST


@given(st.binary(max_size=300))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    try:
        found = fields_of(body)
    except OAuthRefused:
        return
    assert all(value for value in found.values())
