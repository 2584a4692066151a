"""/providers/{name}/webhooks: what providers tell. Authentic by the provider's signature, not by a key."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from florin.kernel.http.problem import problems
from florin.kernel.provenance import Provenance, acting_as
from florin.payments.http.answers import json
from florin.payments.recovery import apply_provider_event
from florin.payments.room import Payments

router = APIRouter(prefix="/providers", tags=["Providers"])


class Received(BaseModel):
    """What became of a provider's message."""

    received: int = Field(description="How many of its events were about something of ours.")


@router.post(
    "/{name}/webhooks",
    summary="Receive a provider's message",
    response_model=Received,
    responses={code: what for code, what in problems(404).items() if code not in (401, 403, 429)},
)
async def receive(
    request: Request, name: Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9_]+$")]
) -> Response:
    """Answered once everything that it tells is written down; sent again, it changes nothing."""
    payments = request.app.state.rooms[Payments]
    body = await request.body()
    with acting_as(lambda: Provenance(f"provider:{name}", request_id=request.scope["florin.request_id"])):
        received = await apply_provider_event(payments, name, request.headers, body)
    return json({"received": received})
