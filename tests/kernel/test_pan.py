"""Card numbers are found wherever they hide, and nothing else is taken for one."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.pan import CardNumberRefused, holds_card_number, refuse_card_numbers

CARDS = [
    "4242424242424242",
    "4000000000000002",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "3566002020360505",
    "6205500000000000004",
    "4222222222222",
]


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_of_every_network_are_found(card: str) -> None:
    assert holds_card_number(card)
    assert holds_card_number(f"my card is {card}, thank you")
    assert holds_card_number("-".join(card[at : at + 4] for at in range(0, len(card), 4)))
    assert holds_card_number(" ".join(card[at : at + 4] for at in range(0, len(card), 4)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"method": {"type": "card", "token": "4242424242424242"}}',
        b'{"description": "paid with 4242 4242 4242 4242"}',
        b'{"description": "12 4242-4242-4242-4242 99"}',
        b'{"metadata": {"4242424242424242": "x"}}',
        b'{"card": {"number": ["4242424242424242"]}}',
        b'"4242424242424242"',
        b'{"description": "\\u0034242424242424242"}',
        '{"description": "4242\u00a04242\u00a04242\u00a04242"}'.encode(),
        ('{"description": "' + "\uff14\uff12" * 8 + '"}').encode(),
        b'{"not": json 4242424242424242',
        b"\xff 4242424242424242",
    ],
)
def test_a_card_number_anywhere_in_a_body_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(CardNumberRefused) as refused:
        refuse_card_numbers(body)
    assert "4242" not in f"{refused.value.detail} {refused.value.extra}"


@pytest.mark.parametrize("text", ["a4242424242424242b", "card-4242-4242-4242-4242", "abcdef4242424242424242"])
def test_a_word_that_is_no_id_does_not_hide_a_card_number(text: str) -> None:
    assert holds_card_number(text)


def test_the_field_is_named() -> None:
    with pytest.raises(CardNumberRefused) as refused:
        refuse_card_numbers(b'{"metadata": {"notes": ["", "4242424242424242"]}}')
    assert refused.value.param == "metadata.notes[1]"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"amount": 4242424242424242}',
        b'{"amount": 1000000000000000, "currency": "USD"}',
        b'{"description": "4242424242424241"}',
        b'{"description": "424242424242"}',
        b'{"description": "42424242424242424242"}',
        b'{"metadata": {"at_ms": "1700000000007"}}',
        b'{"metadata": {"phone": "+91 98765 43210"}}',
        '{"description": "Größe 42, Stück 4242"}'.encode(),
        b'{"payment": "pay_01h455vb4pex5vsknk084sn02q"}',
        b'{"id": "018f4242-4242-7242-8242-424242424242"}',
        b'{"id": "137183d63fc549b5bbb6396120555921"}',
        b'{"digest": "da39a3ee5e6b4b0d3255bf4242424242424242ff"}',
        b'{"id": "a0000000-0000-4000-8000-004242424242"}',
    ],
)
def test_what_is_no_card_number_passes(body: bytes) -> None:
    refuse_card_numbers(body)
    assert not holds_card_number("")


@given(st.text(max_size=40))
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    try:
        refuse_card_numbers(orjson.dumps({"description": text}))
    except CardNumberRefused:
        assert holds_card_number(text)
    else:
        assert not holds_card_number(text)
