"""What a body has to be, whoever reads it."""

import pytest

from florin.kernel.errors import InvalidRequest, MalformedRequest, Refusal, UnsupportedMediaType
from florin.kernel.http.body import MAX_DEPTH, DuplicateName, RawBody, check_body, raw_body_of, takes
from florin.kernel.pan import CardNumberRefused

JSON = {b"content-type": b"application/json"}


def refusal_of(body: bytes, content_type: bytes = b"application/json") -> Refusal:
    with pytest.raises(Refusal) as refused:
        check_body("POST", {b"content-type": content_type}, body)
    return refused.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"a": {"a": 1}}',
        b'[{"a": 1}, {"a": 1}]',
        '{"a": "\\ud83d\\ude00 é"}'.encode(),
    ],
)
def test_what_every_reader_reads_alike_passes(body: bytes) -> None:
    check_body("POST", JSON, body)
    check_body("POST", {b"content-type": b"Application/JSON; charset=utf-8"}, body)


@pytest.mark.parametrize(
    "body", [b"{", b"{,}", b"\xff", b"{'a': 1}", b'{"a": NaN}', b'{"a": -Infinity}', b'"\\ud800"', b'"\x01"']
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    assert type(refusal_of(body)) is MalformedRequest


@pytest.mark.parametrize("digits", [4_301, 1_000_000])
def test_a_number_of_thousands_of_digits_is_malformed(digits: int) -> None:
    assert "digits" in refusal_of(b'{"amount": ' + b"1" * digits + b"}").detail


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_what_is_nested_too_deep_is_malformed(opening: bytes, depth: int) -> None:
    closing = b"]" if opening == b"[" else b"}"
    assert "deep" in refusal_of(opening * depth + b"1" + closing * depth).detail


def test_what_is_nested_as_deep_as_allowed_passes_and_so_do_many_objects_side_by_side() -> None:
    check_body("POST", JSON, b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    check_body("POST", JSON, b"[" + b"{}," * 1000 + b"{}]")


def test_a_name_that_stands_twice_is_refused_by_name() -> None:
    refused = refusal_of(b'{"legs": [{"amount": 1, "account": "a", "amount": 2}]}')
    assert isinstance(refused, DuplicateName)
    assert refused.param == "amount"


def test_names_that_differ_only_in_how_they_are_written_are_the_same_name() -> None:
    assert isinstance(refusal_of(b'{"amount": 1, "\\u0061mount": 2}'), DuplicateName)


@pytest.mark.parametrize("content_type", [b"", b"text/plain", b"application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(content_type: bytes) -> None:
    refused = refusal_of(b"{}", content_type)
    assert isinstance(refused, UnsupportedMediaType)
    assert refused.param == "Content-Type"


def test_the_character_nul_is_refused_with_the_field() -> None:
    refused = refusal_of(b'{"metadata": {"a": ["b\\u0000"]}}')
    assert isinstance(refused, InvalidRequest)
    assert refused.param == "metadata.a[0]"


def test_a_card_number_is_refused_with_the_field_and_not_repeated() -> None:
    refused = refusal_of(b'{"metadata": {"a": "4242 4242 4242 4242"}}')
    assert isinstance(refused, CardNumberRefused)
    assert refused.param == "metadata.a"
    assert "4242" not in refused.detail


def test_a_get_with_a_body_is_nobodys_business() -> None:
    check_body("GET", {}, b"{")


def test_a_raw_body_is_one_of_its_kinds_and_nothing_else() -> None:
    @takes(RawBody(frozenset({b"text/csv"}), 10))
    def endpoint() -> None: ...

    raw = raw_body_of(endpoint)
    assert raw is not None
    raw.check({b"content-type": b"Text/CSV; charset=utf-8"})
    for wrong in (b"application/json", b"text/csvx", b""):
        with pytest.raises(UnsupportedMediaType):
            raw.check({b"content-type": wrong})
    assert raw_body_of(len) is None
