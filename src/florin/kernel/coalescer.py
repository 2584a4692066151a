"""Grouped writes: concurrent calls of one SQL function travel and commit together.

Each caller hands over one item and gets its own answer. While a group is on its way the next one
gathers, so groups grow with the load by themselves. A lone caller never waits for company.
One group is one transaction: per tenant one `SET LOCAL` and one call with arrays, sent as a pipeline,
so the whole costs one round trip and one commit.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from random import uniform
from typing import Any, Generic, TypeVar

from prometheus_client import Histogram
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure
from psycopg.rows import TupleRow

from florin.kernel.db import CONNECTION_LOST, Database, set_tenant
from florin.kernel.errors import Unavailable
from florin.kernel.pipeline import STALE, Parameter, Statement, run_pipeline

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_CROWD = 4
_GATHERING_S = 0.001
"""After a crowd the next group gathers until it has half the size, and no longer than this: those just
answered come again at once, and one call for all costs less than the wait. A lone caller never waits."""

_BEGIN = Statement(b"BEGIN")
_COMMIT = Statement(b"COMMIT")
GROUPS = Histogram(
    "florin_group_items",
    "Calls that travelled together to one SQL function",
    ["function"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)

_TRANSIENT = (
    *CONNECTION_LOST,
    *STALE,
    Unavailable,
    DeadlockDetected,
    SerializationFailure,
    LockNotAvailable,
)


@dataclass(frozen=True, slots=True)
class ArrayFunction(Generic[Item, Answer]):
    """A SQL function that serves one tenant, takes arrays, and returns one row per item.

    It must be safe to call again with the same items when the first call's fate is unknown: every
    item carries an id or an idempotency slot of its own that the function recognises.
    """

    statement: str
    """`SELECT * FROM ledger.post(%s, ...)`: the tenant first, then what `encode` gives.

    Or with `$1`, `$2` ... of its own, where a value stands in several places.
    """

    encode: Callable[[Sequence[Item]], Sequence[Parameter]]
    """The parameters after the tenant, as text that the server reads: `array(...)`, JSON, numbers."""

    decode: Callable[[Sequence[Item], list[TupleRow]], Sequence[Answer | Exception]]
    """One answer per item, in item order; an Exception is raised at its caller."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Answer]):
    tenant_id: int
    item: Item
    answer: "asyncio.Future[Answer]"


class Coalescer(Generic[Item, Answer]):
    """Sends the calls of one array function in groups, a few groups at a time."""

    def __init__(
        self,
        database: Database,
        function: ArrayFunction[Item, Answer],
        *,
        flights: int = 2,
        max_items: int = 1000,
        patience_s: float = 15,
        actor: str | None = None,
    ) -> None:
        """`patience_s`: how long a group outlives a lost connection before its callers hear so.

        `actor`: to whom the audit log puts down what a group changes; its callers are one and the same.
        """
        self._database = database
        self._function = function
        self._statement = numbered(function.statement)
        self._flights = flights
        self._max_items = max_items
        self._patience_s = patience_s
        self._beginning = [_BEGIN]
        if actor is not None:
            self._beginning.append(Statement(b"SELECT set_config('app.actor', $1, true)", (actor,)))
        self._waiting: list[_Waiting[Item, Answer]] = []
        self._flying: set[asyncio.Task[None]] = set()
        self._last_size = 0
        self._full: asyncio.Future[None] | None = None
        name = re.search(r"FROM\s+([a-z_.]+)", function.statement)
        self._group_items = GROUPS.labels(name.group(1) if name else "unnamed")

    async def call(self, tenant_id: int, item: Item) -> Answer:
        """The function's answer for this item.

        Raises:
            Unavailable: the database stayed away for longer than the patience.
            Exception: whatever `decode` made of this item's row.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(tenant_id, item, answer))
        if len(self._flying) < self._flights:
            self._take_off()
        elif self._full is not None and 2 * len(self._waiting) >= self._last_size:
            _settle(self._full)
        return await answer

    def _take_off(self) -> None:
        flight = asyncio.get_running_loop().create_task(self._fly())
        self._flying.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flying.discard(flight)
        if self._waiting and len(self._flying) < self._flights:
            self._take_off()  # for whoever called between its last look and now

    async def _fly(self) -> None:
        # A new task starts after the callers that are ready now: they join this group.
        while self._waiting:
            if self._last_size > _CROWD:
                await self._gather()
            group = self._waiting[: self._max_items]
            del self._waiting[: self._max_items]
            if group:
                self._last_size = len(group)
                await self._deliver(group)

    async def _gather(self) -> None:
        await asyncio.sleep(0)  # whoever was answered in this turn of the loop calls again in it
        if 2 * len(self._waiting) >= self._last_size:
            return
        loop = asyncio.get_running_loop()
        full = self._full = loop.create_future()
        timer = loop.call_later(_GATHERING_S, _settle, full)
        await full
        timer.cancel()
        self._full = None

    async def _deliver(self, group: list[_Waiting[Item, Answer]]) -> None:
        group.sort(key=attrgetter("tenant_id"))  # one lock order for all groups; stable within a tenant
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                answers = await self._send(group)
            except _TRANSIENT as error:
                if asyncio.get_running_loop().time() > deadline:
                    unavailable = Unavailable()
                    unavailable.__cause__ = error
                    return _answer_all(group, unavailable)
                await asyncio.sleep(uniform(0.02, 0.2))  # noqa: S311 - jitter, not a secret
            except Exception as error:  # noqa: BLE001 - its callers must hear of it, whatever it is
                if len(group) == 1:
                    return _answer_all(group, error)
                half = len(group) // 2
                await self._deliver(group[:half])
                return await self._deliver(group[half:])
            else:
                for waiting, answer in zip(group, answers, strict=True):
                    if waiting.answer.done():
                        continue
                    if isinstance(answer, Exception):
                        waiting.answer.set_exception(answer)
                    else:
                        waiting.answer.set_result(answer)
                return None

    async def _send(self, group: list[_Waiting[Item, Answer]]) -> list[Answer | Exception]:
        function = self._function
        calls = [
            (tenant_id, [waiting.item for waiting in same])
            for tenant_id, same in groupby(group, key=attrgetter("tenant_id"))
        ]
        statements = self._beginning.copy()
        for tenant_id, items in calls:
            statements.append(Statement(set_tenant(tenant_id).encode()))
            statements.append(Statement(self._statement, (tenant_id, *function.encode(items))))
        statements.append(_COMMIT)
        async with self._database.connection() as connection:
            rows = (await run_pipeline(connection, statements))[len(self._beginning) + 1 : -1 : 2]
        self._group_items.observe(len(group))
        return [
            answer
            for (_, items), answered in zip(calls, rows, strict=True)
            for answer in function.decode(items, answered)
        ]


def numbered(statement: str) -> bytes:
    """The statement with `$1`, `$2` ... for its `%s`."""
    first, *rest = statement.split("%s")
    return (first + "".join(f"${n}{part}" for n, part in enumerate(rest, 1))).encode()


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _answer_all(group: Sequence[_Waiting[Any, Any]], error: Exception) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def array(values: Sequence[object]) -> str:
    """A PostgreSQL array literal of numbers, UUIDs or plain words; None is NULL.

    Only for values whose text needs no quoting. Cheaper by far than a list of adapted objects.
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
