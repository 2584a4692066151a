"""The ledger over HTTP."""

from florin.ledger.bulk import http as bulk
from florin.ledger.http import accounts, holds, transfers

routers = (accounts.router, accounts.lean, transfers.router, transfers.lean, holds.router, bulk.router)
