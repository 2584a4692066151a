"""/v1/auth: signing in."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from florin.access.signin import codes, service
from florin.access.signin.http.fields import (
    Body,
    ChallengeToken,
    ChannelName,
    CodeSent,
    CodeText,
    Live,
    LoginText,
    Password,
    StrangersPurpose,
    TenantCode,
    TotpSecretShown,
)
from florin.access.signin.model import (
    CHALLENGE_LIFETIME,
    CODE_LIFETIME,
    Challenged,
    ChallengePurpose,
    Method,
    SignedIn,
    Visitor,
)
from florin.access.signin.room import SignIn
from florin.kernel.http.call import Knock, open_to_all
from florin.kernel.http.problem import problems
from florin.kernel.ids import CodeId, SessionId

router = APIRouter(prefix="/v1/auth", tags=["Sign-in"])

Stranger = Annotated[Knock, Depends(open_to_all("Who signs in has no credential yet."))]


class SignInGiven(Body):
    """Who signs in, and where."""

    tenant: TenantCode
    live: Live = False
    login: LoginText
    password: Password


class SignedInShown(BaseModel):
    """A session has begun."""

    status: Literal["signed_in"] = "signed_in"
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    access_token: str
    refresh_token: str
    expires_in: int = Field(description="Seconds until the access token is over: refresh it before.")
    session_id: SessionId
    recovery_codes: list[str] | None = Field(
        description="Of a second factor that was set up just now. They are not shown again."
    )


class ChallengedShown(BaseModel):
    """The password is right; the second factor is wanted."""

    status: Literal["mfa_required", "mfa_enrolment_required"] = Field(
        description="`mfa_enrolment_required`: your roles demand a second factor and there is none. Set one "
        "up with the challenge, then answer it."
    )
    challenge: ChallengeToken
    expires_in: int = Field(description="Seconds.")
    factors: list[Method] = Field(description="What answers it.")


class ChallengeAnswer(Body):
    """The second factor."""

    challenge: ChallengeToken
    code: CodeText
    code_id: CodeId | None = Field(None, description="Of a code that was sent for this challenge.")


class ChallengeNamed(Body):
    """A challenge."""

    challenge: ChallengeToken


class CodeWanted(Body):
    """A code for whoever has this login."""

    tenant: TenantCode
    live: Live = False
    login: LoginText
    purpose: StrangersPurpose
    channel: ChannelName | None = Field(None, description="Null: as the login says, else by e-mail.")


class CodeGiven(Body):
    """A code that was sent."""

    tenant: TenantCode
    live: Live = False
    code_id: CodeId
    code: CodeText


class PasswordReset(CodeGiven):
    """A code that was sent, and a new password."""

    password: Password


@router.post("/sign-in", summary="Sign in", responses=problems())
async def sign_in(call: Stranger, body: SignInGiven) -> SignedInShown | ChallengedShown:
    """Begins a session with a password, or asks for the second factor. Unknown users, wrong passwords and
    users who are locked out or suspended get the same answer. After five wrong passwords in a row a user is
    locked out for a minute, then for twice as long with each one more, up to an hour.
    """
    answer = await service.sign_in(
        call.rooms[SignIn],
        visitor_of(call),
        tenant=body.tenant,
        live=body.live,
        login=body.login,
        password=body.password,
    )
    return _challenged(answer) if isinstance(answer, Challenged) else _signed_in(answer)


@router.post("/challenge", summary="Answer a challenge", responses=problems())
async def answer_challenge(call: Stranger, body: ChallengeAnswer) -> SignedInShown:
    """Ends a sign-in with a code of the authenticator app, a recovery code, or one that was sent. A challenge
    takes five attempts and holds for five minutes; a code of the app is taken once.
    """
    answer = await service.answer_challenge(
        call.rooms[SignIn], visitor_of(call), body.challenge, body.code, code_id=body.code_id
    )
    return _signed_in(answer)


@router.post("/challenge/enrol", summary="Set up a second factor to sign in", responses=problems(409))
async def enrol_to_sign_in(call: Stranger, body: ChallengeNamed) -> TotpSecretShown:
    """The secret of an authenticator app, for a challenge with the status `mfa_enrolment_required`. Answer
    the challenge with a code of the app. Asked for again, it is another secret.
    """
    made = await service.enrol(call.rooms[SignIn], visitor_of(call), body.challenge)
    return TotpSecretShown(secret=made.secret, uri=made.uri)


@router.post("/challenge/code", status_code=202, summary="Send a challenge's code", responses=problems(409))
async def send_challenge_code(call: Stranger, body: ChallengeNamed) -> CodeSent:
    """Sends the code that ends a challenge, to users whose second factor is codes by SMS or e-mail."""
    code_id = await service.send_challenge_code(call.rooms[SignIn], visitor_of(call), body.challenge)
    return _sent(code_id)


@router.post("/codes", status_code=202, summary="Send a code", responses=problems())
async def send_code(call: Stranger, body: CodeWanted) -> CodeSent:
    """Sends six digits to whoever has this login: to sign in without a password, to set a forgotten one, or
    the first one of an invited user. The answer is the same when nobody has it. A code is good once, for ten
    minutes and five attempts; a login gets one a minute, five an hour, ten a day.
    """
    code_id = await codes.request(
        call.rooms[SignIn],
        visitor_of(call),
        tenant=body.tenant,
        live=body.live,
        login=body.login,
        purpose=body.purpose,
        channel=body.channel,
    )
    return _sent(code_id)


@router.post("/code-sign-in", summary="Sign in with a code", responses=problems())
async def sign_in_with_code(call: Stranger, body: CodeGiven) -> SignedInShown:
    """Begins a session with a code for `sign_in`. Users who have, or need, a second factor sign in with their
    password.
    """
    answer = await service.sign_in_by_code(
        call.rooms[SignIn],
        visitor_of(call),
        tenant=body.tenant,
        live=body.live,
        code_id=body.code_id,
        code=body.code,
    )
    return _signed_in(answer)


@router.post("/password", status_code=204, summary="Set a forgotten password", responses=problems())
async def reset_password(call: Stranger, body: PasswordReset) -> Response:
    """Sets a password with a code for `reset_password`, and ends all sessions. 12 to 128 characters, no
    common password, none that is easily guessed or known from a breach, none of the last four, and no name of
    yours or the tenant's in it. A refused password leaves the code good.
    """
    await service.reset_password(
        call.rooms[SignIn],
        visitor_of(call),
        tenant=body.tenant,
        live=body.live,
        code_id=body.code_id,
        code=body.code,
        password=body.password,
    )
    return Response(status_code=204)


def visitor_of(call: Knock) -> Visitor:
    """Where a stranger's request comes from."""
    agent = call.headers.get(b"user-agent", b"").decode("latin-1") or None
    return Visitor(call.address, agent, call.provenance)


def _sent(code_id: CodeId) -> CodeSent:
    return CodeSent(code_id=code_id, expires_in=int(CODE_LIFETIME.total_seconds()))


def _signed_in(answer: SignedIn) -> SignedInShown:
    tokens = answer.tokens
    return SignedInShown(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_in=tokens.expires_in_s,
        session_id=tokens.session_id,
        recovery_codes=answer.recovery_codes,
    )


def _challenged(answer: Challenged) -> ChallengedShown:
    enrols = answer.purpose is ChallengePurpose.ENROL
    return ChallengedShown(
        status="mfa_enrolment_required" if enrols else "mfa_required",
        challenge=answer.token,
        expires_in=int(CHALLENGE_LIFETIME.total_seconds()),
        factors=list(answer.factors),
    )
