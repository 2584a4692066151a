"""A receiver of webhooks, for demonstrations and tests: verifies, remembers, shows, and fails on request.

POST /            takes a webhook
GET  /            the last ones, as a page
GET  /webhooks    the same as JSON
POST /fail        {"statuses": [500, 410], "retry_after": "120"}: the answers to the next webhooks
"""

from collections import deque
from collections.abc import Sequence
from html import escape
from typing import Any

import orjson
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from florin.kernel.clock import now, rfc3339

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Webhooks received</title>
<style>body{{font:15px system-ui;margin:2rem}}td,th{{padding:.2rem .8rem;text-align:left;vertical-align:top}}
pre{{margin:0;max-width:60rem;white-space:pre-wrap}}</style>
<h1>Webhooks received</h1><p>{count} verified, the last {shown} shown, newest first.</p>
<table><tr><th>Received<th>Event<th>Id<th>Answered<th>Body</tr>{rows}</table></html>"""
_ROW = "<tr><td>{received_at}<td>{type}<td>{id}<td>{answered}<td><pre>{body}</pre></tr>"


class Receiver:
    """An ASGI application that takes webhooks signed with any of its secrets."""

    def __init__(self, secrets: Sequence[str], *, remember: int = 200) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._answers: deque[int] = deque()
        self._retry_after: str | None = None
        self.received: deque[dict[str, Any]] = deque(maxlen=remember)
        """The last webhooks, oldest first: `id`, `type`, `received_at`, `answered`, `event`."""

        self.verified = 0
        self.refused = 0
        self.app = Starlette(
            routes=[
                Route("/", self._take, methods=["POST"]),
                Route("/", self._page, methods=["GET"]),
                Route("/webhooks", self._json, methods=["GET"]),
                Route("/fail", self._fail, methods=["POST"]),
            ]
        )

    def add_secret(self, secret: str) -> None:
        """Takes webhooks signed with this one too."""
        self._verifiers.append(Webhook(secret))

    def answer_next(self, *statuses: int, retry_after: str | None = None) -> None:
        """Answers the next webhooks with these statuses, one each, and 204 again after them."""
        self._answers.extend(statuses)
        self._retry_after = retry_after

    def _verifies(self, body: bytes, headers: dict[str, str]) -> bool:
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):  # ValueError: no such base 64, no such text
                continue
            return True
        return False

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if not self._verifies(body, dict(request.headers)):
            self.refused += 1
            return JSONResponse({"error": "the signature does not verify"}, 401)
        self.verified += 1
        answer = self._answers.popleft() if self._answers else 204
        event = orjson.loads(body)
        self.received.append(
            {
                "id": request.headers["webhook-id"],
                "type": event["type"],
                "received_at": rfc3339(now()),
                "answered": answer,
                "event": event,
            }
        )
        headers = {"retry-after": self._retry_after} if self._retry_after and answer >= 400 else {}  # noqa: PLR2004
        return Response(status_code=answer, headers=headers)

    async def _page(self, _: Request) -> Response:
        rows = "".join(
            _ROW.format(
                **{name: escape(str(one[name])) for name in ("received_at", "type", "id", "answered")},
                body=escape(orjson.dumps(one["event"], option=orjson.OPT_INDENT_2).decode()),
            )
            for one in reversed(self.received)
        )
        return HTMLResponse(_PAGE.format(count=self.verified, shown=len(self.received), rows=rows))

    async def _json(self, _: Request) -> Response:
        return JSONResponse(
            {"data": list(reversed(self.received)), "verified": self.verified, "refused": self.refused}
        )

    async def _fail(self, request: Request) -> Response:
        try:
            wish = orjson.loads(await request.body())
            statuses = [int(status) for status in wish["statuses"]]
        except (ValueError, TypeError, KeyError):
            return JSONResponse({"error": 'expected {"statuses": [500, ...], "retry_after": "120"}'}, 422)
        if not all(200 <= status <= 599 for status in statuses):  # noqa: PLR2004
            return JSONResponse({"error": "statuses are 200 to 599"}, 422)
        self.answer_next(*statuses, retry_after=wish.get("retry_after"))
        return JSONResponse({"next": list(self._answers)})
