"""The ledger over HTTP."""

from florin.ledger.bulk import http as bulk
from florin.ledger.chart import http as chart
from florin.ledger.http import accounts, dry_runs, exchanges, holds, sets, templates, transfers
from florin.ledger.limits import http as limits
from florin.ledger.proof import http as proof
from florin.ledger.reports import http as reports
from florin.ledger.seals import http as seals
from florin.ledger.times import http as times

routers = (
    accounts.router,
    accounts.lean,
    chart.router,
    limits.router,
    transfers.router,
    transfers.lean,
    holds.router,
    sets.router,
    dry_runs.router,
    exchanges.router,
    templates.router,
    times.router,
    seals.router,
    proof.router,
    reports.router,
    bulk.router,
)
