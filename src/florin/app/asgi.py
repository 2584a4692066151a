"""The ASGI application of one API process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from florin import __version__
from florin.access import http as access_http
from florin.access.people import http as people_http
from florin.access.service import Access
from florin.access.sessions import http as sessions_http
from florin.access.signin import http as signin_http
from florin.access.tokens import http as tokens_http
from florin.access.tokens import well_known
from florin.app import health, pages
from florin.app.openapi import install_openapi
from florin.app.rooms import open_rooms
from florin.app.serve import serve
from florin.audit import http as audit_http
from florin.kernel.http.call import Principal, Rooms
from florin.kernel.http.framework import install_problems
from florin.kernel.http.gate import Gate, Headers
from florin.kernel.notify import Listener, Notifier
from florin.kernel.settings import Settings
from florin.ledger import http as ledger_http
from florin.ledger.clearing import http as clearing_http
from florin.ledger.monitors import http as monitors_http
from florin.payments.http import routers as payment_routers
from florin.payments.room import Payments
from florin.privacy import http as privacy_http
from florin.providers.registry import SANDBOX_PREFIX
from florin.providers.sandbox.in_process import InProcessSandbox
from florin.providers.sandbox.redirect import redirect_router
from florin.tenancy import http as tenancy_http
from florin.tenancy.usage import UsageMeter
from florin.webhooks import http as webhooks_http

ROUTERS: tuple[APIRouter, ...] = (
    *payment_routers,
    *ledger_http.routers,
    monitors_http.router,
    clearing_http.router,
    audit_http.router,
    *webhooks_http.routers,
    *tenancy_http.routers,
    *access_http.routers,
    privacy_http.router,
    *people_http.routers,
    sessions_http.router,
    tokens_http.router,
    well_known.router,
    *signin_http.routers,
    health.router,
    pages.router,
)


class _Door:
    """Lets the gate ask Access, which is open only once the process has started."""

    def __init__(self) -> None:
        self.rooms = Rooms()

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str | None) -> Principal:
        return await self.rooms[Access].authenticate(headers, address)

    async def admit(self, principal: Principal) -> Headers:
        return await self.rooms[Access].admit(principal)

    async def admit_stranger(self, address: str | None) -> Headers:
        return await self.rooms[Access].admit_stranger(address)


def build(settings: Settings, url: str) -> ASGIApp:
    """The application on a database. Its rooms open and close with the server's lifespan."""
    door = _Door()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_rooms(settings, url) as rooms:
            app.state.rooms = rooms
            sandbox = rooms[Payments].providers.get("sandbox")
            if isinstance(sandbox, InProcessSandbox):
                app.include_router(redirect_router(sandbox), prefix=SANDBOX_PREFIX, include_in_schema=False)
            door.rooms.take_over(rooms)
            async with _running(
                rooms[Notifier].run(), rooms[Listener].run(), rooms[UsageMeter].run(), rooms[Access].run()
            ):
                yield

    app = FastAPI(title="Florin", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in ROUTERS:
        # Not include_router: it copies routes, and the gate takes the lean ones by identity.
        app.router.routes.extend(router.routes)
    install_problems(app)
    install_openapi(app)
    return Gate(
        app,
        routes=app.routes,
        rooms=door.rooms,
        authenticator=door,
        limiter=door,
        max_body_bytes=settings.max_body_bytes,
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )


@asynccontextmanager
async def _running(*loops: Coroutine[None, None, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve_api(settings: Settings, descriptor: int) -> None:
    """Serves on a socket that the parent bound, until it says stop."""
    assert settings.app_database_url is not None, "florin run passes the database on"
    with socket.socket(fileno=descriptor) as listening:
        await serve(build(settings, settings.app_database_url.get_secret_value()), listening, settings)
