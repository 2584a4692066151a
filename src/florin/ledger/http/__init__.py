"""The ledger over HTTP."""

from florin.ledger.http import accounts, dry_runs, holds, sets, transfers

routers = (
    accounts.router,
    accounts.lean,
    transfers.router,
    transfers.lean,
    holds.router,
    sets.router,
    dry_runs.router,
)
