"""Refusals of sessions.

RefreshRefused                  401
SessionNotFound                 404
UserNotActive                   403
"""

from florin.kernel.errors import Forbidden, NotFound, Unauthenticated


class RefreshRefused(Unauthenticated):
    """The refresh token is unknown, was used before, or its session has ended: sign in again."""

    code = "refresh_refused"


class SessionNotFound(NotFound):
    """There is no such session here, or it has ended."""

    code = "session_not_found"


class UserNotActive(Forbidden):
    """The user is not active."""

    code = "user_not_active"
