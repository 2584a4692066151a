"""The page that a `tok_3ds` charge sends the buyer to: approve or decline."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Protocol
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from florin.providers.provider import Charge

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_DECISIONS = {"approve": True, "decline": False}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sandbox bank</title>
<style>body{{font:16px sans-serif;max-width:24rem;margin:4rem auto}}
button{{font:inherit;padding:.5rem 1rem}}</style>
<h1>Sandbox bank</h1>
{content}
</html>
"""
_QUESTION = """<p>Pay {amount_minor} {currency} (minor units)?</p>
<form method="post">
<button name="decision" value="approve">approve</button>
<button name="decision" value="decline">decline</button>
</form>"""


@dataclass(frozen=True, slots=True)
class Redirection:
    """What the page needs to know of a charge that waits for its buyer."""

    reference: str
    amount_minor: int
    currency: str
    capture: bool
    return_url: str | None

    @classmethod
    def of(cls, charge: Charge) -> "Redirection":
        """The charge's."""
        return cls(charge.reference, charge.amount_minor, charge.currency, charge.capture, charge.return_url)


class Desk(Protocol):
    """Who knows which charges wait for a decision, and takes it."""

    def awaiting(self, reference: str, query: Mapping[str, str]) -> Redirection | None:
        """The charge behind a link. None: no such link, or it was decided already."""

    def decide(self, redirection: Redirection, *, approved: bool) -> None:
        """Ends the charge and tells the platform by webhook."""


def redirect_router(desk: Desk) -> APIRouter:
    """GET and POST /redirect/{reference}. The buyer needs no key."""
    router = APIRouter(include_in_schema=False)

    @router.get("/redirect/{reference}")
    async def ask(reference: str, request: Request) -> Response:
        redirection = desk.awaiting(reference, request.query_params)
        if redirection is None:
            return _nothing_to_decide()
        return _page(
            _QUESTION.format(amount_minor=redirection.amount_minor, currency=escape(redirection.currency))
        )

    @router.post("/redirect/{reference}")
    async def decide(reference: str, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("ascii", "replace"))
        approved = _DECISIONS.get(form.get("decision", [""])[0])
        if approved is None:
            return _page("<p>decision must be approve or decline.</p>", status=422)
        redirection = desk.awaiting(reference, request.query_params)
        if redirection is None:
            return _nothing_to_decide()
        desk.decide(redirection, approved=approved)
        if not (redirection.return_url or "").startswith(("http://", "https://")):
            return _page("<p>Approved.</p>" if approved else "<p>Declined.</p>")
        return RedirectResponse(str(redirection.return_url), status_code=303)

    return router


def _nothing_to_decide() -> Response:
    return _page("<p>There is nothing to decide here, or it was decided already.</p>", status=404)


def _page(content: str, *, status: int = 200) -> Response:
    return HTMLResponse(
        _PAGE.format(content=content),
        status_code=status,
        headers={"content-security-policy": _POLICY},
    )
