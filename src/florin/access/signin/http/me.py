"""/v1/me: what is a signed-in user's own."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from florin.access.senders import Channel
from florin.access.signin import own
from florin.access.signin.http.fields import (
    Body,
    ChannelName,
    CodeSent,
    CodeText,
    OwnPurpose,
    Password,
    ProofGiven,
    RecoveryCodes,
    TotpSecretShown,
)
from florin.access.signin.model import CODE_LIFETIME, Proof, Purpose, Visitor
from florin.access.signin.own import Me, Profile
from florin.access.signin.room import SignIn
from florin.kernel.errors import InvalidRequest
from florin.kernel.http.call import Call, requires_user
from florin.kernel.http.problem import problems
from florin.kernel.ids import CodeId, PartnerId, SessionId, UserId, encode_id

router = APIRouter(prefix="/v1/me", tags=["Me"])

Own = Annotated[Call, Depends(requires_user())]

_CHANNELS = {Purpose.VERIFY_EMAIL: Channel.EMAIL, Purpose.VERIFY_PHONE: Channel.SMS}


class SecondFactorShown(BaseModel):
    """What is set up."""

    totp: bool = Field(description="An authenticator app.")
    code_channel: Channel | None = Field(description="Codes that are sent; null: none.")
    recovery_codes_left: int
    demanded: bool = Field(description="Whether your roles demand a second factor.")


class MeShown(BaseModel):
    """A user as he sees himself."""

    id: UserId
    tenant: str
    live: bool
    partner_id: PartnerId | None
    session_id: SessionId | None
    status: str
    user_name: str | None
    name: str | None
    email: str | None
    email_verified: bool
    phone: str | None
    phone_verified: bool
    password_changed_at: datetime | None = Field(description="Null: no password is set.")
    second_factor: SecondFactorShown
    permissions: list[str] = Field(description="In the whole tenant.")
    unit_permissions: dict[str, list[str]] = Field(description="In business units only, by their ids.")


class PasswordChange(Body):
    """Another password."""

    present_password: Password
    new_password: Password


class TotpConfirmation(Body):
    """A code of the app that was set up."""

    code: CodeText


class CodeChannelChosen(Body):
    """Codes that are sent, as a second factor."""

    channel: ChannelName | None = Field(description="Null: no more.")
    proof: ProofGiven


class OwnCodeWanted(Body):
    """A code for oneself."""

    purpose: OwnPurpose
    channel: ChannelName | None = Field(
        None, description="Needed for `step_up`; else it follows from the purpose."
    )


class OwnCodeGiven(Body):
    """A code that was sent to verify an address or a number."""

    code_id: CodeId
    code: CodeText


class MaybeRecoveryCodes(BaseModel):
    """Recovery codes come with the first second factor. They are not shown again."""

    recovery_codes: list[str] | None


@router.get("", summary="Read who you are", responses=problems(404))
async def read_me(call: Own) -> MeShown:
    """Your profile, how you sign in, and what you may do."""
    room = call.rooms[SignIn]
    return _shown(call, await own.profile(room, await _me(call)))


@router.post("/password", status_code=204, summary="Change your password", responses=problems(404))
async def change_password(call: Own, body: PasswordChange) -> Response:
    """Needs the present one, and ends your other sessions. For the rules see POST /v1/auth/password."""
    await own.change_password(
        call.rooms[SignIn], await _me(call), present=body.present_password, new=body.new_password
    )
    return Response(status_code=204)


@router.post("/totp", summary="Set up an authenticator app", responses=problems(404, 409))
async def enrol_totp(call: Own, body: ProofGiven) -> TotpSecretShown:
    """The secret for the app. It is on once a code of it has been confirmed."""
    made = await own.enrol_totp(call.rooms[SignIn], await _me(call), _proof(body))
    return TotpSecretShown(secret=made.secret, uri=made.uri)


@router.post("/totp/confirm", summary="Turn the authenticator app on", responses=problems(404, 409))
async def confirm_totp(call: Own, body: TotpConfirmation) -> RecoveryCodes:
    """With a code of it. From now on signing in asks for one."""
    codes = await own.confirm_totp(call.rooms[SignIn], await _me(call), body.code)
    return RecoveryCodes(recovery_codes=codes)


@router.post(
    "/totp/disable", status_code=204, summary="Turn the authenticator app off", responses=problems(404, 409)
)
async def disable_totp(call: Own, body: ProofGiven) -> Response:
    """Needs a code of it, or a recovery code. Not for those whose roles demand a second factor."""
    await own.disable_totp(call.rooms[SignIn], await _me(call), _proof(body))
    return Response(status_code=204)


@router.post(
    "/code-factor", summary="Choose codes that are sent as second factor", responses=problems(404, 409)
)
async def choose_code_factor(call: Own, body: CodeChannelChosen) -> MaybeRecoveryCodes:
    """To a verified number or address. While an authenticator app is set up, that is asked for instead."""
    codes = await own.choose_code_channel(
        call.rooms[SignIn], await _me(call), body.channel, _proof(body.proof)
    )
    return MaybeRecoveryCodes(recovery_codes=codes)


@router.post("/recovery-codes", summary="Renew your recovery codes", responses=problems(404, 409))
async def renew_recovery_codes(call: Own, body: ProofGiven) -> RecoveryCodes:
    """Ten new ones; the old ones end. Needs the second factor."""
    codes = await own.renew_recovery_codes(call.rooms[SignIn], await _me(call), _proof(body))
    return RecoveryCodes(recovery_codes=codes)


@router.post("/codes", status_code=202, summary="Send yourself a code", responses=problems(404, 409))
async def send_own_code(call: Own, body: OwnCodeWanted) -> CodeSent:
    """To verify your address or number, or to prove anew who you are (`step_up`, to a verified one)."""
    channel = _CHANNELS.get(body.purpose, body.channel)
    if channel is None:
        raise InvalidRequest("channel: needed for this purpose", param="channel")
    if body.channel not in (None, channel):
        raise InvalidRequest("channel: another one than the purpose has", param="channel")
    code_id = await own.send_code(call.rooms[SignIn], await _me(call), body.purpose, channel)
    return CodeSent(code_id=code_id, expires_in=int(CODE_LIFETIME.total_seconds()))


@router.post("/contacts/verify", summary="Verify your address or number", responses=problems(404))
async def verify_contact(call: Own, body: OwnCodeGiven) -> MeShown:
    """With the code that was sent there."""
    room = call.rooms[SignIn]
    await own.verify_contact(room, await _me(call), body.code_id, body.code)
    return _shown(call, await own.profile(room, await _me(call)))


async def _me(call: Call) -> Me:
    agent = call.headers.get(b"user-agent", b"").decode("latin-1") or None
    visitor = Visitor(call.address, agent, lambda _: call.provenance())
    who = call.principal
    return await own.me(call.rooms[SignIn], call.tenant_id, who.id, visitor, who.session_id)


def _proof(given: ProofGiven) -> Proof:
    return Proof(given.password, given.totp, given.recovery_code, given.code_id, given.code)


def _shown(call: Call, found: Profile) -> MeShown:
    account, books = found.me.account, found.me.books
    return MeShown(
        id=account.id,
        tenant=books.code,
        live=books.live,
        partner_id=account.partner_id,
        session_id=found.me.session_id,
        status=account.status,
        user_name=account.user_name,
        name=found.name,
        email=found.email,
        email_verified=account.email_verified_at is not None,
        phone=found.phone,
        phone_verified=account.phone_verified_at is not None,
        password_changed_at=account.password_changed_at,
        second_factor=SecondFactorShown(
            totp=account.totp,
            code_channel=account.code_channel,
            recovery_codes_left=found.recovery_codes_left,
            demanded=found.second_factor_demanded,
        ),
        permissions=sorted(call.principal.scopes),
        unit_permissions={
            encode_id("bu", unit): sorted(held) for unit, held in call.principal.unit_scopes.items()
        },
    )
