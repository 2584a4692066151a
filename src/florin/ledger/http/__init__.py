"""The ledger over HTTP."""

from florin.ledger.http import accounts, holds, transfers
from florin.ledger.seals import http as seals

routers = (
    accounts.router,
    accounts.lean,
    transfers.router,
    transfers.lean,
    holds.router,
    seals.router,
)
