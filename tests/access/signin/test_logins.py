"""What somebody types to say who he is."""

import pytest

from florin.access.senders import Channel
from florin.access.signin.logins import login_of
from florin.access.signin.model import Books
from florin.kernel.vault import TenantKeys

KEYS = TenantKeys(7, b"s" * 32, b"i" * 32)
BOOKS = Books(7, "DEMO", False, "Demo Bank", "ZA", True)


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Ann.Example", "ann.example"),
        (" ann.example ", "ann.example"),
        ("Ann@Shop.Example", "ann@shop.example"),
        ("011 555 0100", "+27115550100"),
        ("+27 (11) 555-0100", "+27115550100"),
        ("+44 20 7946 0958", "+442079460958"),
    ],
)
def test_one_login_has_one_spelling(typed: str, normal: str) -> None:
    assert login_of(KEYS, BOOKS, typed) == login_of(KEYS, BOOKS, normal)


def test_a_login_is_of_one_kind_and_says_how_messages_reach_it() -> None:
    kinds = [login_of(KEYS, BOOKS, typed) for typed in ("ann", "ann@shop.example", "+27115550100", "\u2603")]
    assert [one.channel for one in kinds] == [None, Channel.EMAIL, Channel.SMS, None]
    assert [one.user_name for one in kinds] == ["ann", None, None, None]
    assert len({one.subject for one in kinds}) == 4
    assert len({one.nobodys_id for one in kinds}) == 4


def test_nobodys_id_is_none_that_a_user_could_have() -> None:
    assert login_of(KEYS, BOOKS, "nobody").nobodys_id.version != 7


@pytest.mark.parametrize("typed", ["", "a", "@", "12", "+0", "ann@", "x" * 300, "ann\u0000"])
def test_what_is_no_login_is_nobodys(typed: str) -> None:
    found = login_of(KEYS, BOOKS, typed)
    assert (found.user_name, found.email_index, found.phone_index) == (None, None, None)
