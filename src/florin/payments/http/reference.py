"""/v1/currencies and /v1/payment-methods: the same for everybody."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.paging import Page
from florin.payments import store
from florin.payments.http.answers import json
from florin.payments.room import Payments
from florin.payments.views import CurrencyView, PaymentMethodView

router = APIRouter(prefix="/v1", tags=["Reference"])

Read = Annotated[Call, Depends(requires("payments:read"))]


@router.get("/currencies", summary="List currencies", response_model=Page[CurrencyView], responses=problems())
async def currencies(call: Read) -> Response:
    """All currencies that money can be kept in, by code. One page holds them all."""
    found = await call.rooms[Payments].currencies()
    return json({"data": list(found.values()), "has_more": False})


@router.get(
    "/payment-methods",
    summary="List payment methods",
    response_model=Page[PaymentMethodView],
    responses=problems(),
)
async def payment_methods(call: Read) -> Response:
    """All kinds of payment methods. One page holds them all."""
    async with call.rooms[Payments].database.platform() as connection:
        return json({"data": await store.payment_methods(connection), "has_more": False})
