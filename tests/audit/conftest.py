"""The ledger's fixtures: its settings are what is audited here."""

from tests.ledger.conftest import books, ledger, other_books

__all__ = ["books", "ledger", "other_books"]
