"""Amounts in recipes: `amount - fee - fee * 18%`. No I/O, and nothing that Python would run.

    sum         = product (("+" | "-") product)*
    product     = operand ("*" percentage)*
    operand     = whole number | name | "(" sum ")"
    percentage  = (number | name) "%"

All is minor units. A percentage is the one place where fractions arise, and each is rounded there, half to
even (kernel.money.round_minor): so what one leg takes off is to the unit what another puts on.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from florin.kernel.money import round_minor

MAX_LENGTH: Final = 200
MAX_DEPTH: Final = 10
MAX_VALUE: Final = 10**18
"""No value on the way lies further out."""

Values = Mapping[str, int | Decimal]
Evaluate = Callable[[Values], int]

_WORD: Final = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|([a-z][a-z0-9_]*)|([-+*%()]))")
_MAX_DIGITS: Final = 18
_DIGITS: Final = 100


class BadExpression(ValueError):
    """The text is no amount."""


class OutOfBounds(ValueError):
    """A value on the way is beyond 10**18."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled amount."""

    text: str
    amounts: frozenset[str]
    """The parameters that stand in it as amounts or numbers."""

    percents: frozenset[str]
    """Those that stand in it before a percent sign."""

    evaluate: Evaluate
    """Minor units of the parameters' values. Raises OutOfBounds."""


def compile_expression(text: str) -> Expression:
    """The expression of a text. Raises BadExpression, with what is wrong and where."""
    if len(text) > MAX_LENGTH:
        raise BadExpression(f"is longer than {MAX_LENGTH} characters")
    parser = _Parser(_words(text))
    evaluate = parser.sum(0)
    if parser.peek():
        raise BadExpression(f"{parser.peek()!r} is not expected there")
    return Expression(text, frozenset(parser.amounts), frozenset(parser.percents), evaluate)


def _words(text: str) -> list[str]:
    words, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _WORD.match(stripped, at)
        if match is None:
            raise BadExpression(f"{stripped[at:].lstrip()[:1]!r} is not expected there")
        words.append(match[1] or match[2] or match[3])
        at = match.end()
    return words


class _Parser:
    """Recursive descent; makes closures as it goes."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self.amounts: set[str] = set()
        self.percents: set[str] = set()

    def peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _take(self) -> str:
        word = self.peek()
        self._at += 1
        return word

    def sum(self, depth: int) -> Evaluate:
        if depth > MAX_DEPTH:
            raise BadExpression(f"has more than {MAX_DEPTH} brackets in each other")
        left = self._product(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            left = _added(left, self._product(depth), sign)
        return left

    def _product(self, depth: int) -> Evaluate:
        left = self._operand(depth)
        while self.peek() == "*":
            self._take()
            left = _share(left, self._percentage())
        return left

    def _operand(self, depth: int) -> Evaluate:
        word = self._take()
        if word == "(":
            inner = self.sum(depth + 1)
            if self._take() != ")":
                raise BadExpression("a bracket is not closed")
            return inner
        if word[:1].isdigit():
            if "." in word or len(word) > _MAX_DIGITS:
                raise BadExpression(f"{word} is no whole number of minor units")
            return _constant(int(word))
        if not word[:1].isalpha():
            raise BadExpression(f"{word!r} is not expected there" if word else "ends too early")
        self.amounts.add(word)
        return _amount(word)

    def _percentage(self) -> str | Decimal:
        word = self._take()
        if self._take() != "%":
            raise BadExpression("an amount is multiplied by a percentage only: amount * 15%")
        if word[:1].isdigit():
            if len(word) > _MAX_DIGITS:
                raise BadExpression(f"{word} is too long")
            return Decimal(word)
        if not word[:1].isalpha():
            raise BadExpression(f"{word!r} is not expected there")
        self.percents.add(word)
        return word


def _constant(value: int) -> Evaluate:
    return lambda _: value


def _amount(name: str) -> Evaluate:
    return lambda values: int(values[name])


def _added(left: Evaluate, right: Evaluate, sign: int) -> Evaluate:
    return lambda values: _bounded(left(values) + sign * right(values))


def _share(left: Evaluate, percentage: str | Decimal) -> Evaluate:
    def share(values: Values) -> int:
        percent = Decimal(values[percentage]) if isinstance(percentage, str) else percentage
        with localcontext(prec=_DIGITS):
            return _bounded(round_minor(left(values) * percent / 100))

    return share


def _bounded(value: int) -> int:
    if abs(value) > MAX_VALUE:
        raise OutOfBounds(f"a value of {value} is beyond {MAX_VALUE}")
    return value
