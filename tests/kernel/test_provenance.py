"""Who acts, in words that a log can keep."""

import pytest

from florin.kernel.provenance import Provenance, acting, acting_as, clean, settings_of


def test_what_a_client_says_of_itself_is_bounded() -> None:
    said = settings_of(Provenance("key_1", user_agent="x" * 5000))
    assert len(said["app.user_agent"]) == 500
    assert said["app.reason"] == ""


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\x00b", "a\r\nb", "a\x85b", "a\u202eb", "a\x7fb"])
def test_characters_that_rule_terminals_are_replaced(text: str) -> None:
    kept = clean(text)
    assert kept is not None
    assert kept.isprintable()
    assert kept[0] == "a"
    assert kept[-1] == "b"


@pytest.mark.parametrize("text", [None, ""])
def test_nothing_stays_nothing(text: str | None) -> None:
    assert clean(text) is None


def test_who_acts_is_told_within_the_block_only() -> None:
    with acting_as(lambda: Provenance("job:x")):
        who = acting()
        assert who is not None
        assert who.actor == "job:x"
    assert acting() is None
