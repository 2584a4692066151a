"""A tenant's books for what a bench writes into them."""

from tests.ledger.conftest import books, ledger  # noqa: F401 - the same fixtures
