"""Cursor pages, as Stripe's API made them familiar: newest first, `starting_after`, `has_more`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Row = TypeVar("Row")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description=f"Items per page, 1 to {MAX_LIMIT}.")]


class Page(BaseModel, Generic[Row]):
    """A page of a list. Ask for the next with `starting_after` = the last item's id."""

    model_config = ConfigDict(from_attributes=True)

    data: list[Row]
    has_more: bool


def page(rows: Sequence[Any], limit: int, render: Callable[[Any], Row]) -> Page[Row]:
    """A page from `limit + 1` rows, asked for so that `has_more` costs no second query."""
    return Page(data=[render(row) for row in rows[:limit]], has_more=len(rows) > limit)
