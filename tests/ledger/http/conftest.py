"""The ledger's API behind the gate, as tests/ledger/test_http.py opens it."""

from tests.ledger.test_http import api

__all__ = ["api"]
