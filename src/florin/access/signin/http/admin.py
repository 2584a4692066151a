"""/v1/users/{user_id}: what administrators do about other people's signing in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from florin.access.signin import admin
from florin.access.signin.model import Account
from florin.access.signin.room import SignIn
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import UserId

router = APIRouter(prefix="/v1/users", tags=["Sign-in"])

Write = Annotated[Call, Depends(requires("users:write", by_unit=True))]


@router.post("/{user_id}/unlock", status_code=204, summary="Unlock a user", responses=problems(404))
async def unlock_user(call: Write, user_id: UserId) -> Response:
    """Forgives wrong passwords and codes, so that the user can try again now. Nobody forgives them for a user
    who may do more than himself. Twice is as once.
    """
    account = await _outranked(call, user_id)
    await admin.unlock(call.rooms[SignIn], call.tenant_id, account)
    return Response(status_code=204)


@router.post(
    "/{user_id}/reset-second-factor",
    status_code=204,
    summary="Take away a user's second factor",
    responses=problems(404),
)
async def reset_second_factor(call: Write, user_id: UserId) -> Response:
    """For whoever has lost the phone and the recovery codes. All sessions end. Whoever's roles demand a
    second factor sets another up at the next sign-in. Nobody takes it from a user who may do more than
    himself. Twice is as once.
    """
    account = await _outranked(call, user_id)
    await admin.reset_second_factor(call.rooms[SignIn], call.tenant_id, account)
    return Response(status_code=204)


async def _outranked(call: Call, user_id: UserId) -> Account:
    room, who = call.rooms[SignIn], call.principal
    account = await admin.reachable(
        room, call.tenant_id, user_id, partner_id=who.partner_id, units=call.units
    )
    await admin.check_outranks(room, call.tenant_id, account, scopes=who.scopes, unit_scopes=who.unit_scopes)
    return account
