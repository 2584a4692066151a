"""What the ledger refuses, one class per reason; the codes are those that the SQL functions return."""

from typing import Final

from florin.kernel.errors import Conflict, IdempotencyKeyReused, InvalidRequest, NotFound, Refusal


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "account_not_found"


class AccountCodeTaken(Conflict):
    """Another account has this code."""

    code = "account_code_taken"


class AccountCodeReserved(InvalidRequest):
    """Codes that begin like this belong to accounts that the system makes itself."""

    code = "account_code_reserved"


class CurrencyUnknown(InvalidRequest):
    """The currency is not one of ISO 4217 that money is kept in."""

    code = "currency_unknown"


class BoundsOutOfOrder(InvalidRequest):
    """The lower bound of a balance lies above the upper one."""

    code = "bounds_out_of_order"


class BoundGivenTwice(InvalidRequest):
    """min_balance and credit_limit say the same thing; give one of them."""

    code = "bound_given_twice"


class TypeOfClass(InvalidRequest):
    """A node of the chart says that accounts below it have another type."""

    code = "type_of_class"


class CurrencyOfClass(InvalidRequest):
    """A node of the chart says that accounts below it have another currency."""

    code = "currency_of_class"


class LimitNotFound(NotFound):
    """There is no such limit."""

    code = "limit_not_found"


class LimitCurrencyMismatch(InvalidRequest):
    """The account has another currency than the limit."""

    code = "limit_currency_mismatch"


class LimitSideMismatch(InvalidRequest):
    """The account's normal side is not that of the limit."""

    code = "limit_side_mismatch"


class AccountFrozen(Conflict):
    """The account is frozen: nothing moves on it."""

    code = "account_frozen"


class AccountClosed(Conflict):
    """The account is closed, for good."""

    code = "account_closed"


class AccountNotEmpty(Conflict):
    """Only an account with a balance of zero and without holds can be closed."""

    code = "account_not_empty"


class CurrencyMismatch(InvalidRequest):
    """The account has another currency than the transfer."""

    code = "currency_mismatch"


class Unbalanced(InvalidRequest):
    """Debits and credits differ."""

    code = "unbalanced"


class TooFewLegs(InvalidRequest):
    """A transfer has at least two legs."""

    code = "too_few_legs"


class AccountRepeated(InvalidRequest):
    """A transfer names each account once."""

    code = "account_repeated"


class AmountOutOfRange(InvalidRequest):
    """An amount is a whole number of minor units from 1 to 10**15."""

    code = "amount_out_of_range"


class InsufficientFunds(InvalidRequest):
    """The balance, less what holds reserve, would fall below the account's minimum."""

    code = "insufficient_funds"


class BalanceAboveMaximum(InvalidRequest):
    """The balance, with what holds may add, would rise above the account's maximum."""

    code = "balance_above_maximum"


class ExpiryInThePast(InvalidRequest):
    """A hold must expire later than now."""

    code = "expiry_in_the_past"


class TransferNotFound(NotFound):
    """There is no such transfer."""

    code = "transfer_not_found"


class NotReversible(InvalidRequest):
    """Only transfers and posted holds can be reversed."""

    code = "not_reversible"


class AlreadyReversed(Conflict):
    """The transfer has been reversed before."""

    code = "already_reversed"


class HoldNotFound(NotFound):
    """There is no such hold."""

    code = "hold_not_found"


class HoldClosed(Conflict):
    """The hold has been posted, voided, or its time has passed."""

    code = "hold_closed"


class HoldNotExpired(Conflict):
    """The hold's time has not passed yet."""

    code = "hold_not_expired"


class HoldAmountExceeded(InvalidRequest):
    """This is more than the hold still reserves, or the other direction."""

    code = "hold_amount_exceeded"


class LegsRequired(InvalidRequest):
    """What has more than two legs is posted or reversed in part by naming its legs."""

    code = "legs_required"


class AccountNotInHold(InvalidRequest):
    """The hold reserves nothing on this account."""

    code = "account_not_in_hold"


class AccountNotInTransfer(InvalidRequest):
    """The transfer moved nothing on this account."""

    code = "account_not_in_transfer"


class ReversalAmountExceeded(InvalidRequest):
    """This is more than is left of the transfer, or the other direction."""

    code = "reversal_amount_exceeded"


class PeriodClosed(Conflict):
    """The books are closed for the time at which this would count."""

    code = "period_closed"


class SharedLimitExceeded(InvalidRequest):
    """The accounts that share this account's limit would together pass it."""

    code = "shared_limit_exceeded"


class SetRefused(Conflict):
    """Another transfer of the set was refused, and so the whole set was."""

    code = "set_refused"


class MonthNotArchivable(InvalidRequest):
    """Only whole months before the previous one can be archived."""

    code = "month_not_archivable"


class ArchiveBusy(Conflict):
    """The tables are too busy to move a month now. Nothing was moved; it is tried again tomorrow."""

    code = "archive_busy"


REFUSALS: Final[dict[str, type[Refusal]]] = {
    refusal.code: refusal
    for refusal in (
        AccountNotFound,
        AccountFrozen,
        AccountClosed,
        CurrencyMismatch,
        Unbalanced,
        AmountOutOfRange,
        InsufficientFunds,
        BalanceAboveMaximum,
        ExpiryInThePast,
        TransferNotFound,
        NotReversible,
        AlreadyReversed,
        HoldNotFound,
        HoldClosed,
        HoldNotExpired,
        HoldAmountExceeded,
        LegsRequired,
        AccountNotInHold,
        AccountNotInTransfer,
        ReversalAmountExceeded,
        PeriodClosed,
        SharedLimitExceeded,
        SetRefused,
        IdempotencyKeyReused,
    )
}
"""The refusals of `ledger.post`, `ledger.settle_holds` and `ledger.reverse`, by code."""

SHARING: Final[dict[str, type[Refusal]]] = {
    refusal.code: refusal
    for refusal in (AccountNotFound, LimitNotFound, LimitCurrencyMismatch, LimitSideMismatch)
}
"""The refusals of `ledger.share_limit`, by code."""

FUNDS: Final = frozenset({InsufficientFunds.code, BalanceAboveMaximum.code, SharedLimitExceeded.code})
"""Refusals for which a leg's amount is at fault, not its account."""
