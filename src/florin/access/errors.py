"""Refusals of access.

TenantNotActive, PartnerNotActive      403, at the gate
AddressNotAllowed                      403, at the gate
ApiKeyNotFound                         404
ApiKeyEnded, ApiKeyAlreadyRotated      409
UnknownScope                           422
BeyondOwnScopes, BeyondOwnAddresses    403
LimitsNotYours                         403
PlatformScope                          403
"""

from florin.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class TenantNotActive(Forbidden):
    """The tenant is not active: its keys may not call."""

    code = "tenant_not_active"


class PartnerNotActive(Forbidden):
    """The partner is not active: its keys may not call."""

    code = "partner_not_active"


class AddressNotAllowed(Forbidden):
    """The API key may not be used from this address."""

    code = "address_not_allowed"


class ApiKeyNotFound(NotFound):
    """There is no such API key here."""

    code = "api_key_not_found"


class ApiKeyEnded(Conflict):
    """The API key is revoked or has expired."""

    code = "api_key_ended"


class ApiKeyAlreadyRotated(Conflict):
    """The API key has a successor already: rotate that one."""

    code = "api_key_already_rotated"


class UnknownScope(InvalidRequest):
    """There is no such scope."""

    code = "unknown_scope"


class BeyondOwnScopes(Forbidden):
    """A key cannot give what it does not have."""

    code = "beyond_own_scopes"


class BeyondOwnAddresses(Forbidden):
    """A key that is bound to addresses makes keys that are bound to these, or to some of them."""

    code = "beyond_own_addresses"


class LimitsNotYours(Forbidden):
    """A partner's key cannot choose rate limits: new keys have those of the partner."""

    code = "limits_not_yours"


class PlatformScope(Forbidden):
    """Scopes of the platform are for keys of the tenant that runs it."""

    code = "platform_scope"
