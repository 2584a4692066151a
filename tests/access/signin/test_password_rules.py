"""What a password has to be."""

import pytest

from florin.access.signin.password_rules import MAX_LENGTH, broken_rule

OWN = ["ann.example", "Ann Example", "DEMO", "Demo Bank", "+27115550001"]


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("violet harbour stapler 41", None),
        ("\u0434\u043e\u043c \u043b\u0435\u0441 \u0440\u0435\u043a\u0430 \u043c\u043e\u0441\u0442 7", None),
        ("x" * 11, "too_short"),
        ("\ufb03" * 3 + "ab", "too_short"),  # a ligature that NFKC makes three letters of: 11 in all
        ("\ufb03" * 3 + "abc", "easily_guessed"),
        ("correct" + "x" * MAX_LENGTH, "too_long"),
        ("violet\x07harbour stapler", "control_character"),
        ("violet ANN.EXAMPLE stapler", "holds_own_words"),
        ("my Example of a harbour 41", "holds_own_words"),
        ("harbour 27115550001 violet", "holds_own_words"),
        ("violet florin stapler 41", "holds_own_words"),
        ("1qaz2wsx3edc", "common"),
        ("Q1W2E3R4T5Y6", "common"),
        ("password12345", "common"),
        ("Password!1234", "easily_guessed"),
        ("aaaaaaaaaaaaaaaa", "easily_guessed"),
        ("abcdefghijklmnop", "easily_guessed"),
        ("qwertyuiopasdfgh", "easily_guessed"),
    ],
)
def test_the_rule_that_is_broken_is_named(password: str, rule: str | None) -> None:
    broken = broken_rule(password, OWN)
    if rule is None:
        assert broken is None
    else:
        assert broken is not None
        assert broken.rule == rule
        assert password not in broken.detail


def test_short_words_of_ones_own_may_stand_in_a_password() -> None:
    assert broken_rule("violet bob harbour 41 moss", ["bob"]) is None
