"""Fields that several bodies share, and what they are shown as."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from florin.access.senders import Channel
from florin.access.signin.logins import MAX_LENGTH as MAX_LOGIN
from florin.access.signin.model import Purpose
from florin.kernel.ids import CodeId

MAX_TYPED: Final = 1024
"""What is typed as a password may be longer than a password: its refusal says by how much."""

TenantCode = Annotated[
    str,
    StringConstraints(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="The tenant's code.", examples=["DEMO"]),
]
Live = Annotated[bool, Field(strict=True, description="Which of the tenant's books: true for the live ones.")]
LoginText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LOGIN, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="User name, e-mail address or telephone number.", examples=["ann"]),
]
Password = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TYPED, pattern=r"^[^\x00]+$"),
    Field(examples=["violet harbour stapler 41"]),
]
CodeText = Annotated[
    str,
    StringConstraints(min_length=6, max_length=40, pattern=r"^[0-9A-Za-z -]+$"),
    Field(description="Six digits, or a recovery code.", examples=["493021"]),
]
ChallengeToken = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"^fl_ch_[0-9A-Za-z_-]+$"),
    Field(examples=["fl_ch_1_Zm9yIHRoZSBleGFtcGxlIG9ubHksIG5vdGhpbmcgZWxz"]),
]
ChannelName = Annotated[Channel, Field(description="By SMS or by e-mail.")]


class Body(BaseModel):
    """Nothing that is not known is taken."""

    model_config = ConfigDict(extra="forbid")


class ProofGiven(Body):
    """What proves anew who you are: one of these."""

    password: Password | None = None
    totp: CodeText | None = Field(None, description="A code of the authenticator app.")
    recovery_code: CodeText | None = None
    code_id: CodeId | None = Field(None, description="Of a code for `step_up` that was sent to you.")
    code: CodeText | None = None

    @model_validator(mode="after")
    def _one(self) -> "ProofGiven":
        if (self.code_id is None) != (self.code is None):
            raise ValueError("code_id and code go together")
        given = [self.password, self.totp, self.recovery_code, self.code]
        if sum(one is not None for one in given) != 1:
            raise ValueError("give one of password, totp, recovery_code, or code_id with code")
        return self


class CodeSent(BaseModel):
    """A code is on its way, if there is somebody to send it to."""

    code_id: CodeId
    expires_in: int = Field(description="Seconds.")


class RecoveryCodes(BaseModel):
    """Codes for when the second factor is lost, each good once. They are not shown again."""

    recovery_codes: list[str]


class TotpSecretShown(BaseModel):
    """The secret of an authenticator app. It is not shown again."""

    secret: str = Field(description="Base 32, to be typed.")
    uri: str = Field(description="The same to be scanned: show it as a QR code.")


StrangersPurpose = Literal[Purpose.SIGN_IN, Purpose.RESET_PASSWORD]
OwnPurpose = Literal[Purpose.STEP_UP, Purpose.VERIFY_EMAIL, Purpose.VERIFY_PHONE]
