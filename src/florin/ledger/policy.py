"""What can be said of a transfer without looking at its accounts. No I/O.

The database checks all of this again; here the client hears which field breaks which rule.
"""

from collections.abc import Sequence
from uuid import UUID

from florin.kernel.errors import Refusal
from florin.kernel.money import MAX_AMOUNT_MINOR
from florin.ledger.errors import (
    AccountNotInTransfer,
    AccountRepeated,
    AmountOutOfRange,
    ReversalAmountExceeded,
    TooFewLegs,
    Unbalanced,
)
from florin.ledger.model import Leg, Reversing, Transfer

MIN_LEGS = 2


def check_legs(legs: Sequence[Leg], currency: str | None) -> None:
    """A transfer's or a hold's legs.

    Without a claimed currency the legs may have several; only the database knows whether each balances.

    Raises:
        TooFewLegs: fewer than two.
        AmountOutOfRange: an amount is 0 or beyond 10**15.
        AccountRepeated: an account has two legs.
        Unbalanced: one currency is claimed, and its debits and credits differ.
    """
    if len(legs) < MIN_LEGS:
        raise TooFewLegs(f"{len(legs)} leg given; a transfer has at least two", param="legs")
    check_distinct(legs)
    if currency is not None:
        check_balance(legs)


def check_distinct(legs: Sequence[Leg]) -> None:
    """Each amount is in range and each account occurs once. Raises as check_legs does."""
    seen: dict[UUID, int] = {}
    for index, (account_id, amount_minor) in enumerate(legs):
        if not 1 <= abs(amount_minor) <= MAX_AMOUNT_MINOR:
            raise AmountOutOfRange(
                f"the amount is {abs(amount_minor)}; 1 to {MAX_AMOUNT_MINOR} are allowed",
                param=f"legs[{index}].amount",
            )
        first = seen.setdefault(account_id, index)
        if first != index:
            raise AccountRepeated(
                f"legs[{index}] names the account of legs[{first}] again", param=f"legs[{index}].account"
            )


def check_balance(legs: Sequence[Leg]) -> None:
    """Raises Unbalanced unless debits equal credits."""
    debits_minor = sum(leg.amount_minor for leg in legs if leg.amount_minor > 0)
    credits_minor = -sum(leg.amount_minor for leg in legs if leg.amount_minor < 0)
    if debits_minor != credits_minor:
        raise Unbalanced(f"debits are {debits_minor}, credits {credits_minor}", param="legs")


def explain_part(refused: Refusal, original: Transfer, reversing: Reversing) -> Refusal:
    """The refusal of a partial reversal, with the field that asks too much and what is left of it."""
    left = {entry.account_id: entry.amount_minor - entry.reversed_minor for entry in original.entries}
    for index, (account_id, amount_minor) in enumerate(reversing.legs):
        if account_id not in left:
            return AccountNotInTransfer(param=f"legs[{index}].account")
        if abs(amount_minor) > abs(left[account_id]) or amount_minor * left[account_id] < 0:
            side = "debit" if left[account_id] > 0 else "credit"
            return ReversalAmountExceeded(
                f"{abs(left[account_id])} is left of this {side}", param=f"legs[{index}].amount"
            )
    if reversing.amount_minor is None:
        return type(refused)(param="legs")
    if isinstance(refused, ReversalAmountExceeded):
        rest = min(abs(amount_minor) for amount_minor in left.values())
        return ReversalAmountExceeded(f"{rest} is left of this transfer", param="amount")
    return type(refused)(param="amount")
