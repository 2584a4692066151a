"""The ledger over HTTP."""

from florin.ledger.chart import http as chart
from florin.ledger.http import accounts, holds, transfers
from florin.ledger.limits import http as limits

routers = (
    accounts.router,
    accounts.lean,
    chart.router,
    limits.router,
    transfers.router,
    transfers.lean,
    holds.router,
)
