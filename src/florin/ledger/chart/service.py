"""What can be done with the chart of accounts, one function per use case.

Whoever changes the chart holds it alone (`ledger.hold_chart`), so that no account is made meanwhile that
would not fit; postings go on. Only a change of bounds locks accounts, in the order of their ids.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import TypedDict

from psycopg.errors import CheckViolation

from florin.kernel import clock
from florin.kernel.db import Connection
from florin.kernel.errors import InvalidRequest
from florin.kernel.provenance import Provenance
from florin.ledger import store as ledger_store
from florin.ledger.chart import store
from florin.ledger.chart.errors import (
    ChartConflict,
    ChartFull,
    ChartNodeExists,
    ChartNodeNotFound,
)
from florin.ledger.chart.model import (
    MAX_CHILDREN,
    MAX_NODES,
    SEPARATOR,
    SYSTEM_TYPES,
    Applied,
    Branch,
    ChartNode,
    Child,
    RollUp,
    Template,
    depths,
)
from florin.ledger.errors import (
    AccountCodeReserved,
    BoundsOutOfOrder,
    CurrencyOfClass,
    CurrencyUnknown,
    TypeOfClass,
)
from florin.ledger.model import NORMAL_SIDE, AccountType, Direction, MatchBy
from florin.ledger.service import Ledger


class NodeChange(TypedDict, total=False):
    """What to change of a node; what is left out stays, None removes where a node may have none."""

    name: str
    type: AccountType
    currency: str | None
    min_balance_minor: int | None
    max_balance_minor: int | None
    clears_within: timedelta | None
    match_by: MatchBy


async def create_node(
    ledger: Ledger, tenant_id: int, new: ChartNode, *, by: Provenance | None = None
) -> ChartNode:
    """Puts a node into the chart, and binds the accounts that are below it already.

    Raises:
        ChartNodeExists, ChartFull, ChartConflict, TypeOfClass, CurrencyOfClass, CurrencyUnknown,
        BoundsOutOfOrder, AccountCodeReserved
    """
    check_system_types(new)
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        await ledger_store.hold_chart(connection, tenant_id, alone=True)
        if not await _insert(connection, tenant_id, new):
            raise ChartNodeExists(f"the chart has a node {new.code}", param="code")
        await _check(connection, tenant_id, new)
        if new.bounds != (None, None):
            await _bind(connection, tenant_id, new)
        return await _node(connection, tenant_id, new.code)


async def change_node(
    ledger: Ledger, tenant_id: int, code: str, change: NodeChange, *, by: Provenance | None = None
) -> ChartNode:
    """Changes a node. Where its bounds change, so do those of all accounts below, in the same transaction.

    Raises:
        ChartNodeNotFound; otherwise as create_node.
    """
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        await ledger_store.hold_chart(connection, tenant_id, alone=True)
        present = await _node(connection, tenant_id, code)
        changed = replace(present, **change)
        if changed != present:
            check_system_types(changed)
            await _check_currency(connection, changed.currency)
            try:
                await store.update_node(connection, tenant_id, changed)
            except CheckViolation as violation:
                raise _rule_broken(violation) from None
            await _check(connection, tenant_id, changed)
        if changed.bounds != present.bounds:
            await _bind(connection, tenant_id, changed)
        return changed


async def delete_node(ledger: Ledger, tenant_id: int, code: str, *, by: Provenance | None = None) -> None:
    """Takes a node out of the chart; its accounts and the nodes below it stay, and lose its bounds.

    Raises:
        ChartNodeNotFound
    """
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        await ledger_store.hold_chart(connection, tenant_id, alone=True)
        present = await _node(connection, tenant_id, code)
        await store.delete_node(connection, tenant_id, code)
        if present.bounds != (None, None):
            await _bind(connection, tenant_id, present)


async def node(ledger: Ledger, tenant_id: int, code: str) -> ChartNode:
    """The node. Raises ChartNodeNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await _node(connection, tenant_id, code)


async def tree(
    ledger: Ledger, tenant_id: int, *, under: str | None = None, totals: bool = True
) -> list[Branch]:
    """The nodes at or below a code (None: all), each before what is below it, with what its accounts hold.

    Empty where there are no nodes. One query sums the accounts once for each level of nodes above them.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        nodes = await store.nodes(connection, tenant_id, under)
        found = await store.node_totals(connection, tenant_id, under) if totals and nodes else {}
    return [
        Branch(one, depth, tuple(found.get(one.code, ())))
        for one, depth in zip(nodes, depths([one.code for one in nodes]), strict=True)
    ]


async def roll_up(ledger: Ledger, tenant_id: int, code: str, *, max_children: int = MAX_CHILDREN) -> RollUp:
    """What the accounts at or below a code hold, per currency, in all and by the next segment.

    The code need not be a node's: any beginning of account codes will do. Without accounts, all is empty.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        totals, of_debit_side = await store.subtree_totals(connection, tenant_id, code)
        type_ = await store.nearest_type(connection, tenant_id, code)
        rows = await store.child_totals(connection, tenant_id, code, limit=max_children + 1)
    others = sum(total.accounts for total in totals) - of_debit_side
    by_count = Direction.DEBIT if of_debit_side >= others else Direction.CREDIT
    children = [
        Child(f"{code}{SEPARATOR}{segment}", tuple(total for _, total in of_segment))
        for segment, of_segment in groupby(rows, key=itemgetter(0))
    ]
    more = len(rows) > max_children
    return RollUp(
        code=code,
        side=by_count if type_ is None else NORMAL_SIDE[type_],
        totals=tuple(totals),
        children=tuple(children[:-1] if more else children),  # the last may have been cut in two
        more_children=more,
    )


async def apply_template(
    ledger: Ledger, tenant_id: int, template: Template, *, by: Provenance | None = None
) -> Applied:
    """Puts a template's nodes into the chart, all or none. A code that has a node already keeps it as it is.

    Raises:
        ChartFull
        ChartConflict: something that is there contradicts a node of the template.
    """
    applied = Applied([], [])
    async with ledger.database.tenant(tenant_id, by=by) as connection:
        await ledger_store.hold_chart(connection, tenant_id, alone=True)
        for new in template.nodes:
            if not await _insert(connection, tenant_id, new):
                applied.present.append(new.code)
                continue
            try:
                await _check(connection, tenant_id, new)
                if new.bounds != (None, None):
                    await _bind(connection, tenant_id, new)
            except InvalidRequest as refusal:
                raise ChartConflict(f"{new.code}: {refusal.detail}") from None
            applied.made.append(new.code)
    return applied


def check_system_types(node: ChartNode) -> None:
    """The accounts that the system makes itself must still fit.

    Raises:
        AccountCodeReserved: the node would keep payments or exchanges from making theirs.
    """
    for code, wanted in SYSTEM_TYPES.items():
        above, below = _is_above(node.code, code), _is_above(code, node.code)
        if (above or below) and node.type is not wanted:
            raise AccountCodeReserved(
                f"the system's accounts below {code} have the type {wanted}", param="type"
            )
        named = below and node.code.rpartition(SEPARATOR)[2] == node.currency
        if (above or below) and node.currency is not None and not named:
            raise AccountCodeReserved(
                f"the system's accounts below {code} have a currency only where the code ends in it",
                param="currency",
            )


def _is_above(code: str, other: str) -> bool:
    return code == other or other.startswith(code + SEPARATOR)


async def _node(connection: Connection, tenant_id: int, code: str) -> ChartNode:
    found = await store.node(connection, tenant_id, code)
    if found is None:
        raise ChartNodeNotFound(f"the chart has no node {code}")
    return found


async def _insert(connection: Connection, tenant_id: int, new: ChartNode) -> bool:
    await _check_currency(connection, new.currency)
    try:
        inserted = await store.insert_node(connection, tenant_id, replace(new, created_at=clock.now()))
    except CheckViolation as violation:
        raise _rule_broken(violation) from None
    if inserted and await store.count_nodes(connection, tenant_id) > MAX_NODES:
        raise ChartFull(f"a chart has at most {MAX_NODES} nodes", param="code")
    return inserted


async def _check_currency(connection: Connection, currency: str | None) -> None:
    if currency is not None and not await store.currency_exists(connection, currency):
        raise CurrencyUnknown(f"{currency} is not a currency of ISO 4217 with a minor unit", param="currency")


def _rule_broken(violation: CheckViolation) -> Exception:
    match violation.diag.constraint_name:
        case "chart_bounds_ordered":
            return BoundsOutOfOrder(param="min_balance")
        case "chart_bounds_have_currency":
            return CurrencyUnknown("bounds other than 0 need the currency that they are in", param="currency")
    return violation


async def _check(connection: Connection, tenant_id: int, node: ChartNode) -> None:
    """Raises what the rest of the chart, or an account below, has against the node as it stands now."""
    found = await store.conflict(connection, tenant_id, node.code)
    if found is None:
        return
    if found.account is not None:
        raise ChartConflict(
            f"account {found.account} has another {found.rule} than node {node.code}", param=found.rule
        )
    match found.rule:
        case "type":
            raise TypeOfClass(f"the chart's node {found.node} is of another type", param="type")
        case "currency":
            raise CurrencyOfClass(f"the chart's node {found.node} is in another currency", param="currency")
    raise BoundsOutOfOrder(
        f"these bounds and those of the chart's node {found.node} leave no balance between",
        param="max_balance" if node.min_balance_minor is None else "min_balance",
    )


async def _bind(connection: Connection, tenant_id: int, node: ChartNode) -> None:
    crossing = await ledger_store.bind_bounds(connection, tenant_id, code=node.code)
    if crossing is not None:
        raise BoundsOutOfOrder(
            f"the bounds of node {node.code} and those of account {crossing[0]} leave no balance between",
            param="max_balance" if node.min_balance_minor is None else "min_balance",
        )
