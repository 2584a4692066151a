"""The chart of accounts over HTTP.

Codes may hold slashes, so a node's code is always the last thing in a path.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from florin.kernel.clock import rfc3339
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.money import CurrencyCode
from florin.ledger.chart import service, shipped
from florin.ledger.chart.model import Branch, ChartNode, Template, Total
from florin.ledger.chart.service import NodeChange
from florin.ledger.durations import duration_text
from florin.ledger.http.schemas import BoundMinor, ClearsWithin, Name, NodeCode, Reason, Request
from florin.ledger.model import NORMAL_SIDE, AccountType, Direction, MatchBy
from florin.ledger.service import Ledger

router = APIRouter(tags=["Chart of accounts"])

Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]
Write = Annotated[Call, Depends(requires("ledger:write", tenants_only=True))]
Code = Annotated[NodeCode, Path(description="The node's code, with its colons and slashes.")]
Under = Annotated[NodeCode | None, Query(description="Only what is at or below this code.")]
TemplateName = Annotated[
    str, Path(pattern="^[a-z_]{1,40}$", description="As the list of templates has it.", examples=["fintech"])
]


class NewChartNode(Request):
    """A class of accounts: those at or below its code."""

    code: NodeCode
    name: Name
    type: AccountType
    currency: CurrencyCode | None = Field(None, description="Of all accounts below. Null: any.")
    min_balance: BoundMinor | None = Field(None, description="Of each account below. Null: no bound.")
    max_balance: BoundMinor | None = Field(None, description="Of each account below. Null: no bound.")
    clears_within: ClearsWithin | None = None
    match_by: MatchBy = MatchBy.ORDER
    reason: Reason | None = None


class ChartNodeChange(Request):
    """What to change; what is left out stays."""

    name: Name | None = None
    type: AccountType | None = None
    currency: CurrencyCode | None = Field(None, description="Null: any.")
    min_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    max_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    clears_within: ClearsWithin | None = None
    match_by: MatchBy | None = None
    reason: Reason | None = None


class ChartNodeShown(BaseModel):
    """A node of the chart."""

    code: str
    name: str
    type: AccountType
    normal_side: Direction
    currency: CurrencyCode | None
    min_balance: int | None
    max_balance: int | None
    clears_within: str | None
    match_by: MatchBy
    created_at: str


class TotalShown(BaseModel):
    """Balances of some accounts in one currency, by the side on which they stand."""

    currency: CurrencyCode
    debits: int
    credits: int
    net: int = Field(description="What they come to, positive on the normal side.")
    accounts: int = Field(description="How many accounts.")


class ChartBranch(ChartNodeShown):
    """A node in its tree, with what its accounts hold."""

    depth: int = Field(description="How many nodes of the answer are above it.")
    totals: list[TotalShown]


class ChartTree(BaseModel):
    """Nodes, each before those below it."""

    data: list[ChartBranch]


class ChildTotals(BaseModel):
    """What lies below one code."""

    code: str
    totals: list[TotalShown]


class RollUpShown(BaseModel):
    """What all accounts at or below a code hold."""

    code: str
    normal_side: Direction
    totals: list[TotalShown]
    children: list[ChildTotals] = Field(description="The same by the next segment of the codes.")
    more_children: bool = Field(description="Whether there are more than these.")


class TemplateNode(BaseModel):
    """A node that the template makes."""

    code: str
    name: str
    type: AccountType
    min_balance: int | None
    max_balance: int | None
    clears_within: str | None
    match_by: MatchBy


class TemplateShown(BaseModel):
    """A chart to begin with."""

    name: str
    description: str
    nodes: list[TemplateNode]


class TemplateList(BaseModel):
    """The charts that are shipped."""

    data: list[TemplateShown]


class TemplateApplied(BaseModel):
    """What became of a template's nodes."""

    template: str
    made: list[str]
    present: list[str] = Field(description="Codes that had a node already: it stays as it is.")


class ReasonOnly(Request):
    """Why, if there is something to say."""

    reason: Reason | None = None


@router.get("/v1/chart", summary="Read the chart of accounts", response_model=ChartTree, responses=problems())
async def read_chart(
    call: Read,
    under: Under = None,
    totals: Annotated[bool, Query(description="Whether to sum up the balances.")] = True,
) -> Any:
    """The nodes in the order of their tree, with what the accounts below each hold. Not in pages: a chart has
    at most 2,000 nodes.
    """
    found = await service.tree(call.rooms[Ledger], call.tenant_id, under=under, totals=totals)
    return {"data": [render_branch(branch) for branch in found]}


@router.get("/v1/chart/balance", summary="Sum up a subtree", response_model=RollUpShown, responses=problems())
async def read_roll_up(
    call: Read, under: Annotated[NodeCode, Query(description="What is at or below this code.")]
) -> Any:
    """What all accounts at or below a code hold, per currency. The code need not be a node's."""
    found = await service.roll_up(call.rooms[Ledger], call.tenant_id, under)
    return {
        "code": found.code,
        "normal_side": found.side,
        "totals": render_totals(found.totals, found.side),
        "children": [
            {"code": child.code, "totals": render_totals(child.totals, found.side)}
            for child in found.children
        ],
        "more_children": found.more_children,
    }


@router.post(
    "/v1/chart/nodes",
    status_code=201,
    summary="Create a node of the chart",
    response_model=ChartNodeShown,
    responses=problems(409),
)
async def create_node(call: Write, body: NewChartNode) -> Any:
    """Names a class of accounts. Its type, currency and bounds bind the accounts below, those that are there
    already too: an account of another type or currency refuses the node.
    """
    made = await service.create_node(
        call.rooms[Ledger],
        call.tenant_id,
        ChartNode(
            code=body.code,
            name=body.name,
            type=body.type,
            currency=body.currency,
            min_balance_minor=body.min_balance,
            max_balance_minor=body.max_balance,
            clears_within=body.clears_within,
            match_by=body.match_by,
        ),
        by=call.provenance(body.reason),
    )
    return render_node(made)


@router.get(
    "/v1/chart/nodes/{code:path}",
    summary="Read a node of the chart",
    response_model=ChartNodeShown,
    responses=problems(404),
)
async def read_node(call: Read, code: Code) -> Any:
    """The node."""
    return render_node(await service.node(call.rooms[Ledger], call.tenant_id, code))


@router.patch(
    "/v1/chart/nodes/{code:path}",
    summary="Change a node of the chart",
    response_model=ChartNodeShown,
    responses=problems(404, 409),
)
async def change_node(call: Write, code: Code, body: ChartNodeChange) -> Any:
    """Changes a node. New bounds hold for all accounts below from the same instant."""
    given = body.model_fields_set
    change = NodeChange()
    if body.name is not None:
        change["name"] = body.name
    if body.type is not None:
        change["type"] = body.type
    if body.match_by is not None:
        change["match_by"] = body.match_by
    if "currency" in given:
        change["currency"] = body.currency
    if "min_balance" in given:
        change["min_balance_minor"] = body.min_balance
    if "max_balance" in given:
        change["max_balance_minor"] = body.max_balance
    if "clears_within" in given:
        change["clears_within"] = body.clears_within
    changed = await service.change_node(
        call.rooms[Ledger], call.tenant_id, code, change, by=call.provenance(body.reason)
    )
    return render_node(changed)


@router.delete(
    "/v1/chart/nodes/{code:path}",
    status_code=204,
    summary="Delete a node of the chart",
    responses=problems(404),
)
async def delete_node(
    call: Write, code: Code, reason: Annotated[Reason | None, Query(description="Why.")] = None
) -> None:
    """Takes the node out. Accounts and nodes below it stay, and are free of its bounds."""
    await service.delete_node(call.rooms[Ledger], call.tenant_id, code, by=call.provenance(reason))


@router.get(
    "/v1/chart/templates",
    summary="List chart templates",
    response_model=TemplateList,
    responses=problems(),
)
async def list_templates(call: Read) -> Any:
    """The charts that are shipped, one for each kind of tenant."""
    return {"data": [render_template(one) for one in shipped.templates().values()]}


@router.post(
    "/v1/chart/templates/{name}/apply",
    summary="Apply a chart template",
    response_model=TemplateApplied,
    responses=problems(404, 409),
)
async def apply_template(call: Write, name: TemplateName, body: ReasonOnly | None = None) -> Any:
    """Makes the nodes that are missing, all or none of them. Safe to repeat."""
    applied = await service.apply_template(
        call.rooms[Ledger],
        call.tenant_id,
        shipped.template(name),
        by=call.provenance(body.reason if body else None),
    )
    return {"template": name, "made": applied.made, "present": applied.present}


def render_node(node: ChartNode) -> dict[str, Any]:
    """A ChartNodeShown."""
    return {
        "code": node.code,
        "name": node.name,
        "type": node.type,
        "normal_side": NORMAL_SIDE[node.type],
        "currency": node.currency,
        "min_balance": node.min_balance_minor,
        "max_balance": node.max_balance_minor,
        "clears_within": None if node.clears_within is None else duration_text(node.clears_within),
        "match_by": node.match_by,
        "created_at": None if node.created_at is None else rfc3339(node.created_at),
    }


def render_branch(branch: Branch) -> dict[str, Any]:
    """A ChartBranch."""
    side = NORMAL_SIDE[branch.node.type]
    return render_node(branch.node) | {"depth": branch.depth, "totals": render_totals(branch.totals, side)}


def render_totals(totals: tuple[Total, ...], side: Direction) -> list[dict[str, Any]]:
    """TotalShown of each."""
    return [
        {
            "currency": total.currency,
            "debits": total.debits_minor,
            "credits": total.credits_minor,
            "net": total.net_minor(side),
            "accounts": total.accounts,
        }
        for total in totals
    ]


def render_template(template: Template) -> dict[str, Any]:
    """A TemplateShown."""
    return {
        "name": template.name,
        "description": template.description,
        "nodes": [render_node(node) for node in template.nodes],
    }
