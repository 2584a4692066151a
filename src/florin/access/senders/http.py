"""Messages to a gateway: a POST with a body that the operator's template gives its form.

The gateway's host is confined like any address that somebody chose: to the public internet, unless the
operator trusts it by name. Redirects are never followed. What has had no answer is tried again under the
same Idempotency-Key; whatever the gateway answers is final.
"""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from florin.access.senders.message import Message, NotSent, SenderMisconfigured
from florin.kernel.outbound import AddressRefused, Confinement, confined_client

DEFAULT_TEMPLATE: Final = '{"to": "{to}", "subject": "{subject}", "text": "{text}"}'
ATTEMPTS: Final = 3

_ATTEMPT_TIMEOUT_S: Final = 10
_LONGEST_WAIT_S: Final = 4
_FIELDS: Final = ("to", "text", "subject", "channel", "id")


class HttpSender:
    """Posts messages to one URL with a bearer secret."""

    def __init__(
        self,
        url: str,
        *,
        secret: str | None,
        template: str = DEFAULT_TEMPLATE,
        confinement: Confinement,
        first_wait_s: float = 0.5,
    ) -> None:
        """`template`: JSON, in whose texts {to}, {text}, {subject}, {channel}, {id} stand for the message's.

        Raises:
            SenderMisconfigured: the template is no JSON or has no place for the text; the URL is refused.
        """
        try:
            self._template: Any = orjson.loads(template)
        except orjson.JSONDecodeError:
            raise SenderMisconfigured("the template is not JSON") from None
        if "{text}" not in template or "{to}" not in template:
            raise SenderMisconfigured("the template has no {to} or no {text}")
        try:
            confinement.check_url(url)
        except AddressRefused as refused:
            raise SenderMisconfigured(f"the URL {refused}") from None
        self._url = url
        self._host = urlsplit(url).hostname
        self._secret = secret
        self._first_wait_s = first_wait_s
        self._client = confined_client(confinement, max_connections=16)

    async def send(self, message: Message) -> None:
        """Posts it, up to three times while there is no answer.

        Raises:
            NotSent: no answer; an answer that is not 2xx, a redirect too; or an address that is refused.
        """
        headers = {"content-type": "application/json", "idempotency-key": message.id}
        if self._secret is not None:
            headers["authorization"] = f"Bearer {self._secret}"
        body = orjson.dumps(_filled(self._template, {name: str(getattr(message, name)) for name in _FIELDS}))
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((httpx.TransportError, TimeoutError)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(self._first_wait_s, max=_LONGEST_WAIT_S),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                        answer = await self._client.post(self._url, content=body, headers=headers)
        except AddressRefused:
            raise NotSent(f"{self._host} is at an address that is refused") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotSent(f"{self._host} does not answer: {type(error).__name__}") from None
        if not answer.is_success:
            raise NotSent(f"{self._host} answers {answer.status_code}")

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()


def _filled(part: Any, fields: dict[str, str]) -> Any:
    """The template with the message in it. Each text is filled by itself, so nothing can break out of it."""
    if isinstance(part, dict):
        return {name: _filled(value, fields) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, fields) for value in part]
    if isinstance(part, str):
        pieces = part.split("{")
        filled = [pieces[0]]
        for piece in pieces[1:]:
            name, closed, rest = piece.partition("}")
            filled.append(fields[name] + rest if closed and name in fields else "{" + piece)
        return "".join(filled)
    return part
