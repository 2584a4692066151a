"""The form of keys and the arithmetic of scopes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from florin.access.model import digest, generate, parse, shown


@given(st.integers(1, 2**31 - 1), st.booleans())
def test_a_key_says_whose_it_is_and_in_which_mode(tenant_id: int, live: bool) -> None:
    key = generate(tenant_id, live=live)
    presented = parse(key)
    assert presented is not None
    assert (presented.tenant_id, presented.live, presented.digest) == (tenant_id, live, digest(key))


def test_a_key_has_the_documented_form_and_is_never_the_same() -> None:
    keys = {generate(46655, live=False) for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"fl_test_zzz_[A-Za-z0-9_-]{43}", key) for key in keys)


def test_what_is_shown_of_a_key_is_its_beginning_and_four_characters() -> None:
    assert shown("fl_test_1_abcd" + "x" * 39) == "fl_test_1_abcd"
    assert shown("fl_live_zz_a_b_" + "x" * 39) == "fl_live_zz_a_b_"


@given(st.text(max_size=80))
def test_text_that_is_no_key_is_not_parsed(text: str) -> None:
    assert parse(text) is None or text.startswith("fl_")


def test_near_misses_are_not_parsed() -> None:
    good = generate(1, live=True)
    bad = [
        good[:-1],
        good + "a",
        good.upper(),
        good + "\n",
        good.replace("fl_live_1_", "fl_live_0_"),
        good.replace("fl_live_1_", "fl_live_01_"),
        good.replace("fl_live_1_", "fl_live_zzzzzz_"),  # beyond PostgreSQL's integer
        good.replace("fl_live", "fl_prod"),
    ]
    assert [key for key in bad if parse(key) is not None] == []
