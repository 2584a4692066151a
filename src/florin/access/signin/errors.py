"""Refusals of signing in.

SignInFailed, ChallengeFailed, CodeNotTaken   401
TooManyAttempts                               429, by address; says when to come again
SignInBusy                                    503
PasswordRefused                               422, names the rule
WrongProof, UserMayDoMore                     403
SecondFactorOn, SecondFactorMissing,
SecondFactorDemanded, ContactNotVerified      409
"""

from florin.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    Refusal,
    TooManyRequests,
    Unauthenticated,
)


class SignInFailed(Unauthenticated):
    """The tenant, the login or the password is not right, or signing in is not possible now."""

    code = "sign_in_failed"


class ChallengeFailed(Unauthenticated):
    """The challenge or the code is not right, is used up or has expired."""

    code = "challenge_failed"


class CodeNotTaken(Unauthenticated):
    """The code is not right, is used up or has expired."""

    code = "code_not_taken"


class TooManyAttempts(TooManyRequests):
    """Too many attempts from this address."""

    code = "too_many_attempts"


class SignInBusy(Refusal):
    """Too many sign-ins at once. Try again."""

    status = 503
    code = "sign_in_busy"

    def __init__(self) -> None:
        super().__init__(headers={"retry-after": "2"})


class PasswordRefused(InvalidRequest):
    """The password breaks a rule."""

    code = "password_refused"


class WrongProof(Forbidden):
    """What should prove who you are is not right."""

    code = "wrong_proof"


class UserMayDoMore(Forbidden):
    """The user may do what you may not: somebody who may has to do this."""

    code = "user_may_do_more"


class SecondFactorOn(Conflict):
    """A second factor is set up already: disable it first."""

    code = "second_factor_on"


class SecondFactorMissing(Conflict):
    """No second factor of this kind is set up."""

    code = "second_factor_missing"


class SecondFactorDemanded(Conflict):
    """Your roles demand a second factor: it can be replaced, not disabled."""

    code = "second_factor_demanded"


class ContactNotVerified(Conflict):
    """There is no such address or number, or it is not verified."""

    code = "contact_not_verified"
