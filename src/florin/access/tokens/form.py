"""What OAuth endpoints are sent: a form, and a client's name and secret in it or in the header. No I/O."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from florin.access.tokens.errors import OAuthError, OAuthRefused, wrong_client

_MOST_FIELDS = 20
_BASIC = b"basic "


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a client says it is, and what it shows for it."""

    client_id: str
    secret: str = field(repr=False)


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an application/x-www-form-urlencoded body. Those without a value are left out.

    Raises:
        OAuthRefused: unreadable, or a field stands twice (RFC 6749, section 3.2).
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "the body is no form") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise OAuthRefused(OAuthError.INVALID_REQUEST, "a field stands twice")
        given[name] = value
    return {name: value for name, value in given.items() if value}


def credentials_of(headers: Mapping[bytes, bytes], fields: Mapping[str, str]) -> Credentials:
    """The client's, by HTTP Basic or in the form, and not by both (RFC 6749, section 2.3.1).

    Raises:
        OAuthRefused: none, or two, or what is no Basic header.
    """
    authorization = headers.get(b"authorization")
    in_form = "client_secret" in fields
    if authorization is None:
        if not in_form or "client_id" not in fields:
            raise wrong_client()
        return Credentials(fields["client_id"], fields["client_secret"])
    if in_form:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "credentials in the header and in the form")
    if authorization[: len(_BASIC)].lower() != _BASIC:
        raise wrong_client()
    try:
        text = b64decode(authorization[len(_BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise wrong_client() from None
    name, _, secret = text.partition(":")
    shown = Credentials(unquote_plus(name), unquote_plus(secret))
    if fields.get("client_id", shown.client_id) != shown.client_id:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "client_id differs from the header's")
    return shown
