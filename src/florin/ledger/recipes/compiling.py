"""From a document to something that can be filled in: every name and type is checked once. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from florin.ledger.errors import AccountCodeReserved
from florin.ledger.model import RESERVED_PREFIXES, AccountType
from florin.ledger.recipes.document import ParameterSpec, RecipeBody, RecipeLeg
from florin.ledger.recipes.errors import TemplateInvalid
from florin.ledger.recipes.expressions import BadExpression, Expression, compile_expression

_HOLE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_IN_CODES: Final = frozenset({"text", "currency", "integer"})


@dataclass(frozen=True, slots=True)
class Text:
    """A text with holes: literal pieces, and the parameters between them."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, values: Mapping[str, object]) -> str:
        """The text with the parameters' values in it."""
        filled = self.pieces[0]
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            filled += f"{values[name]}{piece}"
        return filled


@dataclass(frozen=True, slots=True)
class Making:
    """An account to be made where there is none."""

    type: AccountType
    name: Text
    currency: Text


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg to be filled in: its account is a code, or the parameter that names it."""

    code: Text | None
    parameter: str | None
    sign: int
    amount: Expression
    optional: bool
    making: Making | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A compiled recipe."""

    parameters: Mapping[str, ParameterSpec]
    legs: tuple[Leg, ...]
    description: Text | None
    hold: bool


def compile_recipe(body: RecipeBody, *, ours: bool = False) -> Recipe:
    """The recipe of a document. `ours`: it comes with Florin, and may make the system's accounts.

    Raises:
        TemplateInvalid: a name that is not declared or of the wrong type; an amount that is none.
        AccountCodeReserved: it would make accounts of the system's.
    """
    return Recipe(
        parameters=body.parameters,
        legs=tuple(
            [_leg(leg, f"legs[{index}]", body.parameters, ours=ours) for index, leg in enumerate(body.legs)]
        ),
        description=None
        if body.description is None
        else _text(body.description, "description", body.parameters, None),
        hold=body.hold,
    )


@lru_cache(maxsize=512)
def recipe_of(document: bytes, *, ours: bool) -> Recipe:
    """The recipe of a document that has been checked before, compiled once."""
    return compile_recipe(RecipeBody.model_validate_json(document), ours=ours)


def _leg(leg: RecipeLeg, at: str, parameters: Mapping[str, ParameterSpec], *, ours: bool) -> Leg:
    whole = _HOLE.fullmatch(leg.account)
    named = whole is not None and whole[1] in parameters and parameters[whole[1]].type == "account"
    code = None if named else _text(leg.account, f"{at}.account", parameters, _IN_CODES)
    making = None
    if leg.create is not None:
        if code is None:
            raise TemplateInvalid(f"{at}.create: an account that is given exists", param=f"{at}.create")
        if not ours and code.pieces[0].startswith(RESERVED_PREFIXES):
            raise AccountCodeReserved(
                f"codes that begin with {code.pieces[0]} belong to the system", param=f"{at}.account"
            )
        making = Making(
            type=leg.create.type,
            name=code
            if leg.create.name is None
            else _text(leg.create.name, f"{at}.create.name", parameters, None),
            currency=_text(leg.create.currency, f"{at}.create.currency", parameters, frozenset({"currency"})),
        )
    side = "debit" if leg.debit is not None else "credit"
    return Leg(
        code=code,
        parameter=whole[1] if named and whole is not None else None,
        sign=1 if side == "debit" else -1,
        amount=_amount(leg.debit or leg.credit or "", f"{at}.{side}", parameters),
        optional=leg.optional,
        making=making,
    )


def _text(text: str, at: str, parameters: Mapping[str, ParameterSpec], types: frozenset[str] | None) -> Text:
    pieces = _HOLE.split(text)
    names = tuple(pieces[1::2])
    for name in names:
        _check_name(name, at, parameters, types)
    if any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise TemplateInvalid(f"{at}: a brace stands alone; a parameter is written {{name}}", param=at)
    return Text(tuple(pieces[::2]), names)


def _amount(text: str, at: str, parameters: Mapping[str, ParameterSpec]) -> Expression:
    try:
        found = compile_expression(text)
    except BadExpression as bad:
        raise TemplateInvalid(f"{at}: {bad}", param=at) from None
    for name in found.amounts:
        _check_name(name, at, parameters, frozenset({"money", "integer"}))
    for name in found.percents:
        _check_name(name, at, parameters, frozenset({"percent", "integer"}))
    return found


def _check_name(
    name: str, at: str, parameters: Mapping[str, ParameterSpec], types: frozenset[str] | None
) -> None:
    if name not in parameters:
        raise TemplateInvalid(f"{at}: there is no parameter {name}", param=at)
    if types is not None and parameters[name].type not in types:
        raise TemplateInvalid(
            f"{at}: {name} is of type {parameters[name].type}; it has to be {' or '.join(sorted(types))}",
            param=at,
        )
