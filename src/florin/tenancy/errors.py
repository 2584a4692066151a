"""Refusals of tenancy.

TenantNotFound, BusinessUnitNotFound, PartnerNotFound, CustomerNotFound, SettingNotFound   404
TenantCodeTaken, EmailTaken, ReferenceTaken, SettingExists, PlatformStaysActive, CustomerErased   409
ParentBelowUnit, TreeTooDeep, UnknownCurrency                422
"""

from florin.kernel.errors import Conflict, InvalidRequest, NotFound


class TenantNotFound(NotFound):
    """There is no such tenant."""

    code = "tenant_not_found"


class BusinessUnitNotFound(NotFound):
    """There is no such business unit here."""

    code = "business_unit_not_found"


class PartnerNotFound(NotFound):
    """There is no such partner here."""

    code = "partner_not_found"


class CustomerNotFound(NotFound):
    """There is no such customer here."""

    code = "customer_not_found"


class SettingNotFound(NotFound):
    """No value of this setting is in force."""

    code = "setting_not_found"


class TenantCodeTaken(Conflict):
    """Another tenant has this code."""

    code = "tenant_code_taken"


class PlatformStaysActive(Conflict):
    """The tenant PLATFORM runs the house and stays active."""

    code = "platform_stays_active"


class EmailTaken(Conflict):
    """Another partner has this e-mail address."""

    code = "email_taken"


class ReferenceTaken(Conflict):
    """Another customer has this reference."""

    code = "reference_taken"


class CustomerErased(Conflict):
    """This customer is erased: what is gone is not filled again. Make another."""

    code = "customer_erased"


class SettingExists(Conflict):
    """A value of this setting from that very instant is already recorded."""

    code = "setting_exists"


class ParentBelowUnit(InvalidRequest):
    """A business unit cannot stand below itself or one of its own."""

    code = "parent_below_unit"


class TreeTooDeep(InvalidRequest):
    """Business units stand at most 10 levels deep."""

    code = "tree_too_deep"


class UnknownReference(InvalidRequest):
    """The request names something that is not there."""

    code = "unknown_reference"
