"""How sessions and their tokens are shown."""

from datetime import datetime

from pydantic import BaseModel, Field

from florin.access.sessions.model import Session, TokenPair
from florin.kernel.ids import SessionId, UserId


class TokensShown(BaseModel):
    """The tokens of a session. Keep them: they are not shown again."""

    access_token: str = Field(description="Send it as `Authorization: Bearer <access_token>`.")
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="Seconds until the access token is over.")
    refresh_token: str = Field(description="For the next tokens. Good once.")
    session_id: SessionId


class SessionShown(BaseModel):
    """A sign-in that has not ended."""

    id: SessionId
    user_id: UserId
    methods: list[str] = Field(
        description="How the user proved who he is, as RFC 8176 names it.", examples=[["pwd", "otp"]]
    )
    created_at: datetime
    last_used_at: datetime = Field(description="When its tokens were last renewed.")
    expires_at: datetime = Field(description="When it ends at the latest.")
    address: str | None
    user_agent: str | None
    current: bool = Field(description="Whether this request was made in it.")


class SessionsEnded(BaseModel):
    """What ending several has done."""

    ended: int = Field(description="How many sessions have been ended.")


def tokens(pair: TokenPair) -> TokensShown:
    """The tokens as the API shows them, once."""
    return TokensShown(
        access_token=pair.access_token,
        expires_in=pair.expires_in_s,
        refresh_token=pair.refresh_token,
        session_id=pair.session_id,
    )


def session(found: Session, current: SessionId | None) -> SessionShown:
    """The session as the API shows it; `current`: the one in which this was asked."""
    return SessionShown(
        id=found.id,
        user_id=found.user_id,
        methods=found.methods,
        created_at=found.created_at,
        last_used_at=found.last_used_at,
        expires_at=found.expires_at,
        address=found.address,
        user_agent=found.user_agent,
        current=found.id == current,
    )
