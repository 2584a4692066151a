"""What a rate makes of an amount, and the legs that say so. No I/O.

Each currency balances by itself, through its position account. A position account is equity: what is owned in
a currency beyond what is owed in it stands on its credit side, so a positive balance is a long position.
"""

from decimal import Decimal, localcontext
from typing import Any, Final
from uuid import UUID

from florin.kernel.clock import rfc3339
from florin.kernel.money import MAX_AMOUNT_MINOR, round_minor
from florin.ledger.errors import AmountOutOfRange
from florin.ledger.exchange.errors import ExchangeTooSmall, RateMismatch, SameCurrency, SidesDiffer
from florin.ledger.exchange.model import DECIMAL_ROUNDING, Conversion, Exchanging
from florin.ledger.model import NORMAL_SIDE, AccountType, Balance, Direction, Leg, SystemAccount

POSITION: Final = "fx:position:"
ROUNDING: Final = "fx:rounding:"
_DIGITS: Final = 100
"""Enough for 10**15 minor units times any rate that the API takes, exactly."""


def position_account(currency: str) -> SystemAccount:
    """The account through which a currency is exchanged."""
    return SystemAccount(POSITION + currency, f"Position in {currency}", AccountType.EQUITY, currency)


def rounding_account(currency: str) -> SystemAccount:
    """The account for what an agreed amount differs from the rate's; income, if in our favour."""
    return SystemAccount(
        ROUNDING + currency, f"Exchange rounding in {currency}", AccountType.INCOME, currency
    )


def check_accounts(sold: Balance, bought: Balance) -> None:
    """Raises SameCurrency, SidesDiffer."""
    if sold.currency == bought.currency:
        raise SameCurrency(f"both accounts are in {sold.currency}", param="buy.account")
    if NORMAL_SIDE[sold.type] is not NORMAL_SIDE[bought.type]:
        raise SidesDiffer(
            f"the sold account is of type {sold.type}, the bought of type {bought.type}", param="buy.account"
        )


def convert(exchanging: Exchanging, sell_exponent: int, buy_exponent: int) -> Conversion:
    """The amounts of an exchange, computed without a float and rounded once.

    Raises:
        ExchangeTooSmall, AmountOutOfRange, RateMismatch
    """
    with localcontext(prec=_DIGITS):
        exact = (Decimal(exchanging.sell_minor) * exchanging.rate).scaleb(buy_exponent - sell_exponent)
        rounded_minor = round_minor(exact, rounding=DECIMAL_ROUNDING[exchanging.rounding])
    if rounded_minor < 1:
        raise ExchangeTooSmall(
            f"at a rate of {exchanging.rate} this buys {exact:f} minor units", param="sell.amount"
        )
    if rounded_minor > MAX_AMOUNT_MINOR:
        raise AmountOutOfRange(
            f"at a rate of {exchanging.rate} this buys {rounded_minor}; {MAX_AMOUNT_MINOR} is allowed",
            param="sell.amount",
        )
    bought_minor = rounded_minor if exchanging.buy_minor is None else exchanging.buy_minor
    if abs(bought_minor - rounded_minor) > exchanging.tolerance_minor:
        raise RateMismatch(
            f"the rate gives {rounded_minor}, {bought_minor} was agreed;"
            f" a difference of {exchanging.tolerance_minor} is allowed",
            param="buy.amount",
        )
    return Conversion(exact, rounded_minor, bought_minor)


def legs_of(
    exchanging: Exchanging,
    conversion: Conversion,
    side: Direction,
    sell_position: UUID,
    buy_position: UUID,
    buy_rounding: UUID | None,
) -> tuple[Leg, ...]:
    """The legs; `side` is the normal side of both the sold and the bought account.

    The sold account's balance falls and the bought account's rises, whichever side that is.
    """
    rise = 1 if side is Direction.DEBIT else -1
    legs = [
        Leg(exchanging.sell_account, -rise * exchanging.sell_minor),
        Leg(sell_position, rise * exchanging.sell_minor),
        Leg(buy_position, -rise * conversion.rounded_minor),
        Leg(exchanging.buy_account, rise * conversion.bought_minor),
    ]
    if buy_rounding is not None:
        legs.append(Leg(buy_rounding, -rise * conversion.difference_minor))
    return tuple(legs)


PARAMS: Final = ("sell.amount", None, None, "buy.amount", None)
"""Which field of the request each leg comes from."""


def note_of(exchanging: Exchanging, conversion: Conversion, sold: str, bought: str) -> dict[str, Any]:
    """What is kept of an exchange: exact decimals as texts, amounts in minor units."""
    return {
        "rate": f"{exchanging.rate:f}",
        "source": exchanging.source,
        "quoted_at": None if exchanging.quoted_at is None else rfc3339(exchanging.quoted_at),
        "sell": {"currency": sold, "amount": exchanging.sell_minor},
        "buy": {"currency": bought, "amount": conversion.bought_minor},
        "exact": f"{conversion.exact:f}",
        "rounding": exchanging.rounding.value,
        "remainder": f"{conversion.remainder:f}",
        "difference": conversion.difference_minor,
    }
