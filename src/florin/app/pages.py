"""The page at `/` (what is running, what to try, where to read on) and the API reference at `/docs`.

Both come from this process alone, and their policies let a browser fetch from nowhere else.
"""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from florin import __version__
from florin.kernel.db import Database
from florin.kernel.errors import NotFound, Unavailable

router = APIRouter()

_PAGE: Final = Template(resources.files("florin.app").joinpath("landing.html").read_text())
_LANDING_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_DOCS: Final = resources.files("florin.app").joinpath("docs.html").read_text()
_SCRIPT: Final = re.search(r"<script>(.*?)</script>", _DOCS, re.DOTALL)
assert _SCRIPT is not None
_DOCS_POLICY: Final = (
    # Swagger UI sets styles on its elements and draws its icons from data: URLs.
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    f"script-src 'self' 'sha256-{b64encode(sha256(_SCRIPT[1].encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_ASSETS: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


@router.get("/", include_in_schema=False)
async def landing(request: Request) -> HTMLResponse:
    """A small page that needs no key and tells nothing that a stranger may not know."""
    try:
        async with request.app.state.rooms[Database].platform() as connection:
            cursor = await connection.execute("SHOW server_version")
            row = await cursor.fetchone()
            database, css = f"PostgreSQL {str(row[0]).split()[0] if row else '?'}", "up"
    except Unavailable:
        database, css = "database unavailable", "down"
    return HTMLResponse(
        _PAGE.substitute(
            version=escape(__version__),
            database=escape(database),
            state=css,
            base=escape(str(request.base_url).rstrip("/")),
        ),
        headers={**_PAGE_HEADERS, "content-security-policy": _LANDING_POLICY},
    )


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The API reference, to read and to try."""
    return HTMLResponse(_DOCS, headers={**_PAGE_HEADERS, "content-security-policy": _DOCS_POLICY})


@router.get("/docs/{name}", include_in_schema=False)
def asset(name: Annotated[str, Path(max_length=40)]) -> Response:
    """A part of Swagger UI, as the package that carries it has it."""
    if name not in _ASSETS:
        raise NotFound(f"nothing is at /docs/{name}")
    content = resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
    return Response(content, media_type=_ASSETS[name])
