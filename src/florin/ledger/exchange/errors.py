"""What exchange refuses."""

from florin.kernel.errors import InvalidRequest


class SameCurrency(InvalidRequest):
    """Both accounts have the same currency: that is a transfer, not an exchange."""

    code = "same_currency"


class SidesDiffer(InvalidRequest):
    """One account is something owned and the other something owed: one cannot be given for the other."""

    code = "sides_differ"


class RateMismatch(InvalidRequest):
    """The agreed amount is further from the rate's than the tolerance allows."""

    code = "rate_mismatch"


class ExchangeTooSmall(InvalidRequest):
    """At this rate the amount buys nothing."""

    code = "exchange_too_small"
