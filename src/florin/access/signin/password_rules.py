"""What a password has to be: long, and not one that is guessed first. No composition rules.

NIST SP 800-63B-4, 3.1.1.2. Each rule that can be broken has a name, which the refusal tells.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Final, Literal, NamedTuple

from zxcvbn import zxcvbn

from florin.access.signin.breached import BreachedList
from florin.access.signin.errors import PasswordRefused
from florin.access.signin.hasher import normal

MIN_LENGTH: Final = 12
"""PCI DSS 4.0.1, 8.3.6."""

MAX_LENGTH: Final = 128

Rule = Literal[
    "too_short",
    "too_long",
    "control_character",
    "holds_own_words",
    "common",
    "easily_guessed",
    "breached",
    "used_before",
]

_PRODUCT: Final = "florin"
_SHORTEST_WORD: Final = 4
_ZXCVBN_LENGTH: Final = 72
"""What is behind it does not make a password easier, and zxcvbn's time grows with the square."""

_LEAST_SCORE: Final = 3
"""Of 4: at least 10^8 guesses, against an attacker who knows how people choose."""

_WORDS: Final = re.compile(r"[^\W_]+")
_scoring: Final = threading.Lock()
"""zxcvbn keeps the words that it is given in a global."""


class Broken(NamedTuple):
    """A rule that a password breaks."""

    rule: Rule
    detail: str


def broken_rule(
    password: str, own_words: Iterable[str], breached: BreachedList | None = None
) -> Broken | None:
    """The first rule that the password breaks; None: it may be used. Takes milliseconds: call it in a thread.

    Args:
        own_words: the user's name, user name, address and number, the tenant's code and name: none of them
            may stand within the password.
    """
    return next(_broken_rules(normal(password), own_words, breached), None)


def _broken_rules(password: str, own_words: Iterable[str], breached: BreachedList | None) -> Iterator[Broken]:
    """Cheap ones first."""
    if len(password) < MIN_LENGTH:
        yield Broken("too_short", f"has {len(password)} characters; {MIN_LENGTH} are needed")
    if len(password) > MAX_LENGTH:
        yield Broken("too_long", f"has {len(password)} characters; {MAX_LENGTH} are the most")
    if any(not character.isprintable() for character in password):
        yield Broken("control_character", "has a character that cannot be typed")
    folded = password.casefold()
    words = sorted({word for text in (*own_words, _PRODUCT) for word in _words(text)})
    if any(word in folded for word in words):
        yield Broken("holds_own_words", "holds your name, your address, the tenant's name or the product's")
    if folded in _common():
        yield Broken("common", "is one of the most common passwords")
    if breached is not None and password in breached:
        yield Broken("breached", "is known from a breach elsewhere")
    if _score(password, words) < _LEAST_SCORE:
        yield Broken("easily_guessed", "is easily guessed: three or four random words are not")


def refuse(broken: Broken, param: str) -> PasswordRefused:
    """The refusal that names the rule."""
    return PasswordRefused(
        f"{param}: the password {broken.detail}",
        param=param,
        errors=[{"param": param, "rule": broken.rule, "detail": f"the password {broken.detail}"}],
    )


def _words(text: str) -> set[str]:
    """The text itself, and its parts, as far as they are long enough to mean something."""
    folded = normal(text).casefold()
    return {word for word in (folded, *_WORDS.findall(folded)) if len(word) >= _SHORTEST_WORD}


def _score(password: str, words: list[str]) -> int:
    with _scoring:
        return int(zxcvbn(password[:_ZXCVBN_LENGTH], user_inputs=words)["score"])


@cache
def _common() -> frozenset[str]:
    text = resources.files(__package__).joinpath("common_passwords.txt").read_text()
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
