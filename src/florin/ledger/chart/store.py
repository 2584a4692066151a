"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import aiosql

from florin.kernel.db import Connection
from florin.ledger.chart.model import ChartNode, Total
from florin.ledger.model import AccountType, MatchBy

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


class Found(NamedTuple):
    """What contradicts a node: another one, or else an account."""

    rule: str
    """`type`, `currency` or `bounds`."""

    node: str | None
    account: str | None


async def nodes(connection: Connection, tenant_id: int, under: str | None) -> list[ChartNode]:
    """The nodes at or below a code, each before what is below it; None: all."""
    found = [_node(row) async for row in _queries.nodes(connection, tenant_id=tenant_id, under=under)]
    return sorted(found, key=lambda node: node.code.split(":"))


async def node(connection: Connection, tenant_id: int, code: str) -> ChartNode | None:
    """The node, if there is one."""
    row = await _queries.node(connection, tenant_id=tenant_id, code=code)
    return None if row is None else _node(row)


async def count_nodes(connection: Connection, tenant_id: int) -> int:
    """How many nodes the chart has."""
    return int(await _queries.count_nodes(connection, tenant_id=tenant_id))


async def currency_exists(connection: Connection, code: str) -> bool:
    """Whether money is kept in this currency."""
    return bool(await _queries.currency_exists(connection, code=code))


async def insert_node(connection: Connection, tenant_id: int, new: ChartNode) -> bool:
    """Puts a node in; False where there is one. Raises CheckViolation."""
    inserted: int = await _queries.insert_node(connection, tenant_id=tenant_id, **_columns(new))
    return inserted == 1


async def update_node(connection: Connection, tenant_id: int, changed: ChartNode) -> None:
    """Writes the node as it shall be. Raises CheckViolation."""
    columns = _columns(changed)
    del columns["created_at"]
    await _queries.update_node(connection, tenant_id=tenant_id, **columns)


async def delete_node(connection: Connection, tenant_id: int, code: str) -> bool:
    """Takes a node out; False where there is none."""
    deleted: int = await _queries.delete_node(connection, tenant_id=tenant_id, code=code)
    return deleted == 1


async def conflict(connection: Connection, tenant_id: int, code: str) -> Found | None:
    """What contradicts the node as it stands now, if anything does."""
    found = Found(*await _queries.conflict(connection, tenant_id=tenant_id, code=code))
    return None if found.rule is None else found


async def node_totals(connection: Connection, tenant_id: int, under: str | None) -> dict[str, list[Total]]:
    """By node at or below a code (None: all), a total per currency; nodes without accounts are not in it."""
    found: dict[str, list[Total]] = {}
    async for code, currency, debits, credits_, accounts in _queries.node_totals(
        connection, tenant_id=tenant_id, under=under
    ):
        found.setdefault(code, []).append(Total(currency, int(debits), int(credits_), accounts))
    return found


async def subtree_totals(connection: Connection, tenant_id: int, code: str) -> tuple[list[Total], int]:
    """Totals of the accounts at or below a code; and how many of these are assets or expenses."""
    totals, of_debit_side = [], 0
    async for currency, debits, credits_, accounts, of_debit in _queries.subtree_totals(
        connection, tenant_id=tenant_id, code=code
    ):
        totals.append(Total(currency, int(debits), int(credits_), accounts))
        of_debit_side += of_debit
    return totals, of_debit_side


async def child_totals(
    connection: Connection, tenant_id: int, code: str, *, limit: int
) -> list[tuple[str, Total]]:
    """Totals of the accounts below a code, each with the next segment of theirs; at most so many."""
    return [
        (segment, Total(currency, int(debits), int(credits_), accounts))
        async for segment, currency, debits, credits_, accounts in _queries.child_totals(
            connection, tenant_id=tenant_id, code=code, limit=limit
        )
    ]


async def nearest_type(connection: Connection, tenant_id: int, code: str) -> AccountType | None:
    """The type that the nearest node at or above a code has."""
    found = await _queries.nearest_type(connection, tenant_id=tenant_id, code=code)
    return None if found is None else AccountType(found)


def _node(row: Sequence[Any]) -> ChartNode:
    (code, name, type_, currency, lowest, highest, clears_within, match_by, created_at) = row
    return ChartNode(
        code,
        name,
        AccountType(type_),
        currency,
        lowest,
        highest,
        clears_within,
        MatchBy(match_by),
        created_at,
    )


def _columns(node: ChartNode) -> dict[str, Any]:
    return {field.removesuffix("_minor"): value for field, value in asdict(node).items()}
