"""What is refused of clearing accounts."""

from florin.kernel.errors import NotFound


class NotAClearingAccount(NotFound):
    """The account is not declared to return to zero."""

    code = "not_a_clearing_account"
