"""Sends the sandbox's webhooks, later and again if need be. What it owes dies with the process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from florin.kernel.clock import now
from florin.providers.provider import ProviderEvent
from florin.providers.sandbox.signature import sign
from florin.providers.sandbox.wire import event_json

log = structlog.get_logger(__name__)

Deliver = Callable[[Mapping[str, str], bytes], Awaitable[None]]
"""Takes a webhook's headers and body where they belong. Raises when it did not arrive."""

MAX_UNDERWAY: Final = 10_000
_ATTEMPTS: Final = 6


class Courier:
    """Delivers events in tasks of its own, at most 10,000 at a time."""

    def __init__(self, deliver: Deliver, key: bytes, *, retry_s: float = 0.5) -> None:
        """`retry_s` is the upper bound of the first pause; each further one is up to twice as long."""
        self._deliver = deliver
        self._key = key
        self._retry_s = retry_s
        self._underway: set[asyncio.Task[None]] = set()

    def send(self, event: ProviderEvent, *, after_s: float, times: int = 1) -> None:
        """Delivers the event `times` times, each `after_s` after the one before."""
        if len(self._underway) >= MAX_UNDERWAY:
            log.warning("sandbox_webhook_dropped", event_id=event.id, underway=len(self._underway))
            return
        task = asyncio.create_task(self._send(event, after_s, times))
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)

    @property
    def underway(self) -> int:
        """Events still to be delivered."""
        return len(self._underway)

    async def close(self) -> None:
        """Gives up whatever is underway."""
        underway = list(self._underway)
        for task in underway:
            task.cancel()
        await asyncio.gather(*underway, return_exceptions=True)

    async def _send(self, event: ProviderEvent, after_s: float, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(after_s)
            retrying = AsyncRetrying(
                # Whatever goes wrong at the receiver, it did not take the webhook.
                retry=retry_if_exception_type(Exception),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=wait_random_exponential(multiplier=self._retry_s, max=30),
            )
            try:
                await retrying(self._once, event)
            except RetryError as error:
                log.exception("sandbox_webhook_given_up", event_id=event.id, exc_info=error.__cause__)

    async def _once(self, event: ProviderEvent) -> None:
        at = now()
        body = event_json(event, at)
        await self._deliver(sign(self._key, body, at), body)
