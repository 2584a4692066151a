"""What shared limits refuse, beside what `florin.ledger.errors` has of joining them."""

from florin.kernel.errors import Conflict


class LimitNameTaken(Conflict):
    """Another limit has this name."""

    code = "limit_name_taken"
