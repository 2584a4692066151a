"""What a client's token may do. No I/O."""

from collections.abc import Collection

from florin.kernel.permissions import covers


def both(held: Collection[str], asked: Collection[str]) -> list[str]:
    """What two lists of permissions both cover, sorted: of `payments:*` and `payments:read` the second."""
    return sorted({one for one in asked if covers(held, one)} | {one for one in held if covers(asked, one)})
