"""The HTTP face of payments: thin, it parses, calls one use case, and renders."""

from fastapi import APIRouter

from florin.payments.http import events, payments, providers, reference, refunds

router = APIRouter()
for _part in (payments, refunds, events, reference, providers):
    router.include_router(_part.router)
