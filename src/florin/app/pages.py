"""The page at `/`: what is running, what to try, where to read on."""

from html import escape
from importlib import resources
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from florin import __version__
from florin.kernel.db import Database
from florin.kernel.errors import Unavailable

router = APIRouter()

_PAGE = Template(resources.files("florin.app").joinpath("landing.html").read_text())


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
        headers={
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        },
    )
