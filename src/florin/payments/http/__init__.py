"""The HTTP face of payments: thin, it parses, calls one use case, and renders."""

from fastapi import APIRouter

from florin.payments.http import events, payments, providers, reference, refunds

router = APIRouter()
# The routes themselves, not the routers: the gate looks for lean routes among them.
for _part in (payments, refunds, events, reference, providers):
    router.routes.extend(_part.router.routes)
