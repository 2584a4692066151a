"""The ledger over HTTP."""

from florin.ledger.http import accounts, holds, transfers
from florin.ledger.times import http as times

routers = (accounts.router, accounts.lean, transfers.router, transfers.lean, holds.router, times.router)
