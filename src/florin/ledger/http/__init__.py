"""The ledger over HTTP."""

from florin.ledger.http import accounts, dry_runs, exchanges, holds, sets, templates, transfers
from florin.ledger.times import http as times

routers = (
    accounts.router,
    accounts.lean,
    transfers.router,
    transfers.lean,
    holds.router,
    sets.router,
    dry_runs.router,
    exchanges.router,
    templates.router,
    times.router,
)
