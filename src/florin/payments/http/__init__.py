"""The HTTP face of payments: thin, it parses, calls one use case, and renders."""

from florin.payments.http import events, payments, providers, reference, refunds

routers = (
    payments.router,
    payments.lean,
    refunds.router,
    refunds.lean,
    events.router,
    reference.router,
    providers.router,
)
