"""The ledger over HTTP."""

from florin.ledger.http import accounts, holds, transfers
from florin.ledger.proof import http as proof

routers = (accounts.router, accounts.lean, transfers.router, transfers.lean, holds.router, proof.router)
