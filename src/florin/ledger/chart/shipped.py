"""The charts that come with Florin, one for each kind of tenant: `templates/<kind>.json`."""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from florin.ledger.chart.errors import ChartTemplateNotFound
from florin.ledger.chart.model import ChartNode, Template
from florin.ledger.durations import parse_duration
from florin.ledger.model import AccountType, MatchBy


@lru_cache(maxsize=1)
def templates() -> dict[str, Template]:
    """All of them, by name."""
    folder = resources.files(__package__).joinpath("templates")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        name: _template(name, json.loads(file.read_text()))
        for file in files
        if (name := file.name.removesuffix(".json")) != file.name
    }


def template(name: str) -> Template:
    """The template of this name. Raises ChartTemplateNotFound."""
    found = templates().get(name)
    if found is None:
        raise ChartTemplateNotFound(f"there is no template {name}; there are {', '.join(templates())}")
    return found


def _template(name: str, written: dict[str, Any]) -> Template:
    nodes = (_node(**node) for node in written["nodes"])
    return Template(name, written["description"], tuple(nodes))


def _node(
    code: str,
    name: str,
    type: str,
    min_balance: int | None = None,
    clears_within: str | None = None,
    match_by: str = MatchBy.ORDER,
) -> ChartNode:
    return ChartNode(
        code=code,
        name=name,
        type=AccountType(type),
        min_balance_minor=min_balance,
        clears_within=None if clears_within is None else parse_duration(clears_within),
        match_by=MatchBy(match_by),
    )
