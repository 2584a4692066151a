"""Refusals of the OAuth endpoints, in the words of RFC 6749, section 5.2."""

from enum import StrEnum


class OAuthError(StrEnum):
    """What `error` says in an answer."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_SCOPE = "invalid_scope"


class OAuthRefused(Exception):
    """The request for a token was refused."""

    def __init__(self, error: OAuthError, description: str) -> None:
        self.error = error
        self.description = description
        super().__init__(description)


def wrong_client() -> OAuthRefused:
    """The refusal of whoever did not prove to be a client; what was wrong is not said."""
    return OAuthRefused(
        OAuthError.INVALID_CLIENT, "the client is unknown, its secret is wrong, or it has ended"
    )
