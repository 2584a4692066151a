"""What can go wrong, as one tree.

    Refusal                   the request cannot be done as asked; answered with an RFC 9457 problem
    ├── InvalidRequest        422: a field breaks a rule
    ├── MalformedRequest      400: not even readable
    ├── Unauthenticated       401
    ├── Forbidden             403
    │   ├── TenantsOnly       403
    │   ├── UsersOnly         403
    │   └── PlatformOnly      403
    ├── NotFound              404
    ├── MethodNotAllowed      405
    ├── Conflict              409
    ├── TooLarge              413
    ├── UrlTooLong            414
    ├── UnsupportedMediaType  415
    ├── IdempotencyKeyReused  422
    ├── TooManyRequests       429
    ├── HeadersTooLarge       431
    ├── InternalError         500: our fault, logged under the request id
    ├── Unavailable           503: the database is away; nothing was done, try again
    ├── Overloaded            503: no connection is free; nothing was done
    └── TimedOut              504: given up; what was done is not known

Features derive their own from these. The docstring is the message; `code` is stable, for programs.
"""

from collections.abc import Mapping
from http import HTTPStatus
from inspect import getdoc
from typing import Any, ClassVar


class Refusal(Exception):
    """The request was refused."""

    status: ClassVar[int] = HTTPStatus.BAD_REQUEST
    code: ClassVar[str] = "refused"

    def __init__(
        self,
        detail: str | None = None,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        """`param` names the field (`legs[1].account`); `extra` members join the problem as they are."""
        self.title = (getdoc(type(self)) or "").partition("\n")[0]
        self.detail = detail or self.title
        self.param = param
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(self.detail)


class MalformedRequest(Refusal):
    """The request cannot be read."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"


class IdempotencyKeyMissing(Refusal):
    """This request moves money and needs an Idempotency-Key header."""

    status = HTTPStatus.BAD_REQUEST
    code = "idempotency_key_missing"


class Unauthenticated(Refusal):
    """The API key or access token is missing, unknown, expired or revoked."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"www-authenticate": "Bearer"})


class Forbidden(Refusal):
    """The API key does not allow this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class TenantsOnly(Forbidden):
    """This is the tenant's own business; a partner's key does not reach it."""

    code = "tenants_only"


class UsersOnly(Forbidden):
    """This is a signed-in user's own; a key does not reach it."""

    code = "users_only"


class PlatformOnly(Forbidden):
    """This is for the tenant that runs the platform."""

    code = "platform_only"


class NotFound(Refusal):
    """There is no such thing here."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class Conflict(Refusal):
    """The request does not fit the present state."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class RequestInFlight(Conflict):
    """A request with this Idempotency-Key is still being worked on."""

    code = "request_in_flight"

    def __init__(self) -> None:
        super().__init__(headers={"retry-after": "1"})


class TooLarge(Refusal):
    """The request body is too large."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


class UrlTooLong(Refusal):
    """The path and the query are too long."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    code = "url_too_long"


class HeadersTooLarge(Refusal):
    """The request's headers are too many or too large."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"


class UnsupportedMediaType(Refusal):
    """A request body must be JSON and say so: Content-Type: application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class InvalidRequest(Refusal):
    """A field of the request breaks a rule."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used before, with another body."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "idempotency_key_reused"


class TooManyRequests(Refusal):
    """A rate limit is used up."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"


class InternalError(Refusal):
    """Something went wrong on our side. It has been logged under this request id."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal_error"


class MethodNotAllowed(Refusal):
    """This path does not know this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"


class Unavailable(Refusal):
    """The database cannot be reached; nothing was done. Try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"retry-after": "1"})


class Overloaded(Refusal):
    """Every connection is taken; nothing was done. Try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"retry-after": "1"})


class TimedOut(Refusal):
    """The request took too long; whether it was done is not known. Ask again with the same key."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "timed_out"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"retry-after": "5"})
