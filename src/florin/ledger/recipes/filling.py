"""A recipe filled in with parameters: legs, and the accounts that they name. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeGuard
from uuid import UUID

from florin.kernel.ids import MalformedId, decode_id
from florin.kernel.money import MAX_AMOUNT_MINOR
from florin.ledger.errors import AccountCodeReserved, AmountOutOfRange, CurrencyUnknown
from florin.ledger.model import RESERVED_PREFIXES, SystemAccount
from florin.ledger.recipes.compiling import Leg, Recipe
from florin.ledger.recipes.document import ParameterSpec
from florin.ledger.recipes.errors import ParameterInvalid
from florin.ledger.recipes.expressions import OutOfBounds

_CURRENCY: Final = re.compile("[A-Z]{3}")
_PERCENT: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,10})?")
_IN_CODE: Final = re.compile("[A-Za-z0-9._/@+-]{1,80}")
_CODE: Final = re.compile("[A-Za-z0-9][A-Za-z0-9:._/@+-]{0,119}")
MAX_DESCRIPTION: Final = 500

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FilledLeg:
    """A leg whose account is an id, or a code and what to make where no account has it."""

    index: int
    """Which leg of the recipe."""

    account: UUID | str
    amount_minor: int
    """Debits positive."""

    making: SystemAccount | None


@dataclass(frozen=True, slots=True)
class Filled:
    """What a recipe makes of its parameters."""

    legs: tuple[FilledLeg, ...]
    description: str | None
    parameters: Mapping[str, str | int]
    """As they were given, with the defaults of those that were not."""


def fill(
    recipe: Recipe, given: Parameters, currencies: Mapping[str, object], *, ours: bool = False
) -> Filled:
    """The legs for these parameters. `currencies`: those that money is kept in; `ours` as in compile_recipe.

    Raises:
        ParameterInvalid, CurrencyUnknown: `param` is `parameters.name`.
        AmountOutOfRange: a leg's amount is not from 1 to 10**15.
        AccountCodeReserved
    """
    plain, values = _values(recipe, given, currencies)
    legs = []
    for index, leg in enumerate(recipe.legs):
        amount_minor = _amount(leg, index, values)
        if amount_minor:
            account = values[leg.parameter] if leg.parameter is not None else _code(leg, values)
            making = None if isinstance(account, UUID) else making_of(leg, account, values)
            if making is not None and not ours and making.code.startswith(RESERVED_PREFIXES):
                raise AccountCodeReserved(
                    f"the code {account} belongs to the system", param=f"legs[{index}].account"
                )
            legs.append(FilledLeg(index, account, leg.sign * amount_minor, making))
    description = None if recipe.description is None else recipe.description.fill(plain)[:MAX_DESCRIPTION]
    return Filled(tuple(legs), description, plain)


def _values(
    recipe: Recipe, given: Parameters, currencies: Mapping[str, object]
) -> tuple[dict[str, str | int], dict[str, Any]]:
    for name in given:
        if name not in recipe.parameters:
            raise ParameterInvalid(f"the template has no parameter {name}", param=f"parameters.{name}")
    plain, values = {}, {}
    for name, spec in recipe.parameters.items():
        value = given.get(name, spec.default)
        if value is None:
            raise ParameterInvalid(f"the parameter {name} is missing", param=f"parameters.{name}")
        plain[name] = value
        values[name] = _value(name, spec, value, currencies)
    _check_in_codes(recipe, values)
    return plain, values


def _value(name: str, spec: ParameterSpec, value: object, currencies: Mapping[str, object]) -> Any:
    at = f"parameters.{name}"
    if spec.type in ("money", "integer"):
        lowest = (
            -MAX_AMOUNT_MINOR
            if spec.type == "integer"
            else min(1, spec.default)
            if _whole(spec.default)
            else 1
        )
        if not _whole(value) or not lowest <= value <= MAX_AMOUNT_MINOR:
            raise ParameterInvalid(f"{name} is a whole number from {lowest} to {MAX_AMOUNT_MINOR}", param=at)
        return value
    if not isinstance(value, str):
        raise ParameterInvalid(f"{name} is a text", param=at)
    if spec.type == "percent":
        if not _PERCENT.fullmatch(value):
            raise ParameterInvalid(f'{name} is a percentage such as "2.5"', param=at)
        return Decimal(value)
    if spec.type == "currency":
        if not _CURRENCY.fullmatch(value):
            raise ParameterInvalid(f"{name} is a currency of ISO 4217 such as USD", param=at)
        if value not in currencies:
            raise CurrencyUnknown(f"{value} is not a currency of ISO 4217 with a minor unit", param=at)
        return value
    if spec.type == "account":
        try:
            return decode_id("acct", value)
        except MalformedId as malformed:
            raise ParameterInvalid(f"{name} is an account's id: {malformed}", param=at) from None
    if not value or "\0" in value:
        raise ParameterInvalid(f"{name} is a text of 1 to 255 characters", param=at)
    return value


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_in_codes(recipe: Recipe, values: Mapping[str, Any]) -> None:
    for leg in recipe.legs:
        for name in leg.code.names if leg.code is not None else ():
            if not _IN_CODE.fullmatch(str(values[name])):
                raise ParameterInvalid(
                    f"{name} stands in an account's code: 1 to 80 letters, digits or ._/@+-",
                    param=f"parameters.{name}",
                )


def _amount(leg: Leg, index: int, values: Mapping[str, Any]) -> int:
    at = f"legs[{index}].{'debit' if leg.sign == 1 else 'credit'}"
    try:
        amount_minor = leg.amount.evaluate(values)
    except OutOfBounds as beyond:
        raise AmountOutOfRange(f"{at}, {leg.amount.text}: {beyond}", param=at) from None
    lowest = 0 if leg.optional else 1
    if not lowest <= amount_minor <= MAX_AMOUNT_MINOR:
        raise AmountOutOfRange(
            f"{at}, {leg.amount.text}, is {amount_minor}; {lowest} to {MAX_AMOUNT_MINOR} are allowed",
            param=at,
        )
    return amount_minor


def _code(leg: Leg, values: Mapping[str, Any]) -> str:
    assert leg.code is not None
    code = leg.code.fill(values)
    if not _CODE.fullmatch(code):
        name = leg.code.names[-1] if leg.code.names else None
        raise ParameterInvalid(
            f"{code} is no account's code", param=None if name is None else f"parameters.{name}"
        )
    return code


def making_of(leg: Leg, code: str, values: Mapping[str, Any]) -> SystemAccount | None:
    """The account to make where none has the code; None: it has to exist."""
    if leg.making is None:
        return None
    return SystemAccount(
        code, leg.making.name.fill(values)[:200], leg.making.type, leg.making.currency.fill(values)
    )


def sides_of(recipe: Recipe, values: Mapping[str, str]) -> tuple[SystemAccount, SystemAccount]:
    """The debited and the credited account of a recipe with two legs that makes both.

    For whoever posts in SQL of his own, on trusted values. Raises ValueError for another recipe.
    """
    accounts: dict[int, SystemAccount] = {}
    for leg in recipe.legs:
        made = None if leg.code is None else making_of(leg, leg.code.fill(values), values)
        if made is not None:
            accounts[leg.sign] = made
    if len(recipe.legs) != 2 or len(accounts) != 2:  # noqa: PLR2004 - a debit and a credit
        raise ValueError("the recipe has other legs than one debit and one credit that it makes")
    return accounts[1], accounts[-1]
