"""What a load balancer, an orchestrator and Prometheus ask for."""

import os

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel

from florin.kernel.db import Database
from florin.kernel.errors import Unavailable

router = APIRouter(tags=["Operation"])


class Health(BaseModel):
    """A process that answers is alive."""

    status: str = "ok"


@router.get("/healthz", summary="Is this process alive?")
async def healthz() -> Health:
    """Answers as long as the process runs; asks nothing of the database."""
    return Health()


@router.get(
    "/readyz",
    summary="Can this process serve?",
    response_model=Health,
    responses={
        503: {
            "model": Health,
            "description": "The database is away",
            "content": {"application/json": {"example": {"status": "database unavailable"}}},
        }
    },
)
async def readyz(request: Request) -> Response:
    """200 when the database answers, 503 otherwise."""
    try:
        async with request.app.state.rooms[Database].platform() as connection:
            await connection.execute("SELECT 1")
    except Unavailable:
        return JSONResponse({"status": "database unavailable"}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics"}},
)
async def metrics() -> Response:
    """All API processes of this `florin run` together, in Prometheus's text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
