"""Sessions over HTTP: renewed, ended, listed; by their user and by administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from florin.access.people.policy import Actor
from florin.access.sessions import service, views
from florin.access.sessions.model import EndReason
from florin.access.sessions.service import Sessions
from florin.access.sessions.store import Owner
from florin.access.sessions.views import SessionsEnded, SessionShown, TokensShown
from florin.kernel.http.call import Call, Knock, open_to_all, requires, requires_user
from florin.kernel.http.problem import problems
from florin.kernel.ids import SessionId, UserId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page

router = APIRouter(tags=["Sessions"])

Holder = Annotated[Knock, Depends(open_to_all("the refresh token in the body is the credential"))]
Own = Annotated[Call, Depends(requires_user())]
Read = Annotated[Call, Depends(requires("users:read", by_unit=True, privileged=True))]
Write = Annotated[Call, Depends(requires("users:write", by_unit=True))]
After = Annotated[SessionId | None, Query()]
Count = Annotated[Limit, Query()]


class RefreshToken(BaseModel):
    """A session's last refresh token."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        examples=["fl_rt_1_x2Vb0sN4cQ8kYh3mJ7fLr5tW9pZ1uE6aGdOiKwCvXyM"]
    )


@router.post("/v1/auth/refresh", summary="Renew a session", responses=problems())
async def refresh(knock: Holder, body: RefreshToken) -> TokensShown:
    """Takes a session's last refresh token, once, for the next two tokens.

    Renew one at a time: a token that comes a second time ends the session for whoever holds it, since
    nobody can tell who has stolen it from whom.
    """
    return views.tokens(await service.refresh(knock.rooms[Sessions], body.refresh_token, knock.provenance))


@router.post("/v1/auth/sign-out", status_code=204, summary="Sign out", responses=problems())
async def sign_out(knock: Holder, body: RefreshToken) -> None:
    """Ends the session of a refresh token, at once and everywhere. Twice is as once."""
    await service.sign_out(knock.rooms[Sessions], body.refresh_token, knock.provenance)


@router.get("/v1/me/sessions", summary="List your sessions", responses=problems())
async def list_own_sessions(
    call: Own, limit: Count = DEFAULT_LIMIT, starting_after: After = None
) -> Page[SessionShown]:
    """Where you are signed in, newest first."""
    me = call.principal.id
    owner = Owner(call.principal.partner_id, call.principal.scopes, frozenset())
    return await _page(call, me, owner, limit, starting_after)


@router.post("/v1/me/sessions/end-others", summary="End your other sessions", responses=problems())
async def end_other_sessions(call: Own) -> SessionsEnded:
    """Signs you out everywhere but here."""
    return SessionsEnded(
        ended=await service.end_of_user(
            call.rooms[Sessions],
            call.tenant_id,
            call.principal.id,
            EndReason.SIGNED_OUT,
            but=call.principal.session_id,
        )
    )


@router.post(
    "/v1/me/sessions/{session_id}/end",
    status_code=204,
    summary="End one of your sessions",
    responses=problems(404),
)
async def end_own_session(call: Own, session_id: SessionId) -> None:
    """Signs you out there; also here, if it is this one."""
    await service.end(
        call.rooms[Sessions],
        call.tenant_id,
        session_id,
        user_id=call.principal.id,
        reason=EndReason.SIGNED_OUT,
    )


@router.get("/v1/users/{user_id}/sessions", summary="List a user's sessions", responses=problems(404))
async def list_user_sessions(
    call: Read, user_id: UserId, limit: Count = DEFAULT_LIMIT, starting_after: After = None
) -> Page[SessionShown]:
    """Where a user is signed in, newest first."""
    return await _page(call, user_id, await _within_reach(call, user_id), limit, starting_after)


@router.post("/v1/users/{user_id}/sessions/end", summary="End a user's sessions", responses=problems(404))
async def end_user_sessions(call: Write, user_id: UserId) -> SessionsEnded:
    """Signs a user who may do nothing that you may not out everywhere, at once."""
    await _managed(call, user_id)
    return SessionsEnded(
        ended=await service.end_of_user(call.rooms[Sessions], call.tenant_id, user_id, EndReason.REVOKED)
    )


@router.post(
    "/v1/users/{user_id}/sessions/{session_id}/end",
    status_code=204,
    summary="End one of a user's sessions",
    responses=problems(404),
)
async def end_user_session(call: Write, user_id: UserId, session_id: SessionId) -> None:
    """Signs a user who may do nothing that you may not out in one place, at once."""
    await _managed(call, user_id)
    await service.end(
        call.rooms[Sessions], call.tenant_id, session_id, user_id=user_id, reason=EndReason.REVOKED
    )


async def _within_reach(call: Call, user_id: UUID) -> Owner:
    return await service.owner_of(
        call.rooms[Sessions],
        call.tenant_id,
        user_id,
        partner_id=call.principal.partner_id,
        units=call.units,
    )


async def _managed(call: Call, user_id: UUID) -> None:
    await _within_reach(call, user_id)
    await service.check_outranks(call.rooms[Sessions], call.tenant_id, user_id, by=Actor.of(call))


async def _page(
    call: Call, user_id: UUID, owner: Owner, limit: int, after: UUID | None
) -> Page[SessionShown]:
    found = await service.list_open(
        call.rooms[Sessions], call.tenant_id, user_id, owner, after=after, count=limit + 1
    )
    return page(found, limit, lambda one: views.session(one, call.principal.session_id))
