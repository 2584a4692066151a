"""Recipes: read them, write them, post by them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from florin.kernel.clock import rfc3339
from florin.kernel.dates import Instant
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.problem import problems
from florin.kernel.ids import new_id
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.http import render
from florin.ledger.http.accounts import Read, Write
from florin.ledger.http.dry_run_render import dry, rehearsal
from florin.ledger.http.dry_run_schemas import DRY_RUN
from florin.ledger.http.schemas import DryRun, OriginRequest, TransferResponse
from florin.ledger.http.transfers import key_for, told
from florin.ledger.recipes import service
from florin.ledger.recipes.document import (
    ParameterName,
    ParameterSpec,
    RecipeBody,
    RecipeLeg,
    TemplateName,
    Value,
)
from florin.ledger.recipes.model import Template, TemplatePosting
from florin.ledger.service import Ledger

router = APIRouter(tags=["Templates"])

Named = Annotated[TemplateName, Path(description="The template's name.")]
Version = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]


class TemplateResponse(BaseModel):
    """One version of a recipe."""

    model_config = ConfigDict(extra="forbid")

    name: TemplateName
    version: int
    built_in: bool = Field(description="Whether it comes with Florin.")
    description: str | None
    parameters: dict[str, ParameterSpec]
    legs: list[RecipeLeg]
    hold: bool
    created_at: str | None


class TemplatePostRequest(OriginRequest):
    """The parameters of a posting."""

    version: Version | None = Field(None, description="Default: the newest.")
    parameters: dict[ParameterName, Value] = Field(max_length=30)
    expires_at: Instant | None = Field(None, description="When what a template holds is released.")
    dry_run: DryRun = False


def template(found: Template) -> dict[str, Any]:
    """A TemplateResponse."""
    return {
        "name": found.name,
        "version": found.version,
        "built_in": found.built_in,
        **RecipeBody.model_validate(found.document).model_dump(mode="json"),
        "created_at": None if found.created_at is None else rfc3339(found.created_at),
    }


@router.get("/v1/templates", summary="List posting templates", responses=problems())
async def list_templates(
    call: Read,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[
        TemplateName | None, Query(description="The last name of the page before.")
    ] = None,
) -> Page[TemplateResponse]:
    """The newest versions of all templates, your own and those that come with Florin, by name."""
    found = await service.templates(
        call.rooms[Ledger], call.tenant_id, limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, lambda one: TemplateResponse(**template(one)))


@router.get(
    "/v1/templates/{template_name}",
    summary="Read a posting template",
    response_model=TemplateResponse,
    responses=problems(404),
)
async def read_template(
    call: Read,
    template_name: Named,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Default: the newest.")] = None,
) -> Any:
    """One version of a template."""
    return template(await service.template(call.rooms[Ledger], call.tenant_id, template_name, version))


@router.put(
    "/v1/templates/{template_name}",
    summary="Write a posting template",
    response_model=TemplateResponse,
    responses=problems(409),
)
async def put_template(call: Write, template_name: Named, body: RecipeBody) -> Any:
    """Adds a version. Versions are never changed; a body that says the same as the newest adds none."""
    put = await service.put_template(
        call.rooms[Ledger], call.tenant_id, template_name, body, call.provenance()
    )
    return template(put)


@router.post(
    "/v1/templates/{template_name}/post",
    status_code=201,
    summary="Post by a template",
    response_model=TransferResponse,
    responses={**problems(404, 409), **DRY_RUN},
    openapi_extra=IDEMPOTENCY,
)
async def post_by_template(call: Write, template_name: Named, body: TemplatePostRequest) -> Any:
    """Posts the legs that the template makes of the parameters, or holds them, if it is one that holds.

    Accounts that the template knows how to make are made on first use. With `dry_run` nothing is posted.
    """
    asked = TemplatePosting(
        id=new_id(),
        idempotency=None if body.dry_run else key_for(call, template_name),
        name=template_name,
        parameters=body.parameters,
        version=body.version,
        description=body.description,
        metadata=body.metadata,
        effective_at=body.effective_at,
        expires_at=body.expires_at,
        correlation_id=body.correlation_id,
        causation_id=body.causation_id,
    )
    ledger = call.rooms[Ledger]
    if body.dry_run:
        return dry(rehearsal(await service.dry_template(ledger, call.tenant_id, asked)))
    return render.transfer(told(call, await service.post_template(ledger, call.tenant_id, asked)))
