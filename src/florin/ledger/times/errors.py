"""What the ledger refuses about its two times."""

from florin.kernel.errors import Conflict, InvalidRequest


class PeriodNotOver(InvalidRequest):
    """A period can be closed only when it is over: the instant lies ahead."""

    code = "period_not_over"


class PeriodAlreadyClosed(Conflict):
    """The books are closed at least as far already, and nothing opens them again."""

    code = "period_already_closed"


class PeriodOutOfOrder(InvalidRequest):
    """A period begins before it ends."""

    code = "period_out_of_order"
