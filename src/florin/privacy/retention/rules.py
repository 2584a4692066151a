"""A tenant's rules of retention: settings of its configuration, with a least that the platform sets."""

from collections.abc import Mapping

from florin.kernel.settings import Settings
from florin.privacy.retention import policy
from florin.privacy.retention.policy import Retention
from florin.privacy.room import Privacy
from florin.tenancy import configuration
from florin.tenancy.errors import SettingNotFound
from florin.tenancy.model import SettingType


def floor_of(settings: Settings) -> Retention:
    """The least that a tenant may choose."""
    return Retention(
        personal_years=settings.retention_least_personal_years,
        transactions_years=settings.retention_least_transactions_years,
        audit_years=settings.retention_least_audit_years,
    )


async def in_force(privacy: Privacy, tenant_id: int) -> Retention:
    """What holds for a tenant now."""
    found = {}
    for field in policy.FIELDS:
        try:
            found[field] = await configuration.value_in_force(
                privacy.tenancy, tenant_id, policy.setting(field)
            )
        except SettingNotFound:
            continue
    return policy.of_settings(found, floor_of(privacy.settings))


async def change(privacy: Privacy, tenant_id: int, changes: Mapping[str, int], *, by: str) -> Retention:
    """Sets some of a tenant's rules from now on; what they say then.

    Raises:
        InvalidRequest: a value is below the platform's least, or above a hundred years.
    """
    policy.check(changes, floor_of(privacy.settings))
    for field, years in changes.items():
        await configuration.set_value(
            privacy.tenancy, tenant_id, policy.setting(field), type=SettingType.NUMBER, value=years, by=by
        )
    return await in_force(privacy, tenant_id)
