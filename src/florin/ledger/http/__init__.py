"""The ledger over HTTP."""

from florin.ledger.http import accounts, holds, transfers
from florin.ledger.reports.http import router as reports
from florin.ledger.times.http import router as times

routers = (
    *(accounts.router, accounts.lean, transfers.router, transfers.lean, holds.router),
    *(times, reports),
)
