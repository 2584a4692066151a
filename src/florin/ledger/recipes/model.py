"""What recipes and postings by them are made of. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from florin.kernel.idempotency import Idempotency
from florin.ledger.model import Metadata


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a recipe."""

    name: str
    version: int
    document: Mapping[str, Any]
    """RecipeBody.document()."""

    created_at: datetime | None
    """None: it came with Florin."""

    @property
    def built_in(self) -> bool:
        """Whether it comes with Florin."""
        return self.created_at is None


@dataclass(frozen=True, slots=True)
class TemplatePosting:
    """A posting by a recipe."""

    id: UUID
    idempotency: Idempotency | None
    """None: for dry runs."""

    name: str
    parameters: Mapping[str, Any]
    version: int | None = None
    """None: the newest."""

    description: str | None = None
    """In place of the recipe's own."""

    metadata: Metadata | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    """Recipes that hold only."""

    correlation_id: str | None = None
    causation_id: str | None = None
