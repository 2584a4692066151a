"""Settings of a tenant and its units: each value holds from an instant until the next begins.

Sealed values are bound to tenant, unit and key: a ciphertext copied to another row does not open.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import orjson

from florin.kernel.clock import now
from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy import store
from florin.tenancy.errors import SettingNotFound
from florin.tenancy.model import Setting, SettingType
from florin.tenancy.service import Tenancy

_MAX_INTEGER: Final = 2**63 - 1
_FARTHEST: Final = timedelta(days=36_500)
_MAX_DEPTH: Final = 20
_MAX_DIGITS: Final = 40


async def set_value(
    tenancy: Tenancy,
    tenant_id: int,
    key: str,
    *,
    type: SettingType,
    value: Any,
    encrypted: bool = False,
    business_unit_id: UUID | None = None,
    effective_from: datetime | None = None,
    by: str,
) -> Setting:
    """Records the value that a setting has from an instant on, which may lie ahead.

    Args:
        value: as `type` says; a NUMBER is an int or a decimal in a string; None withdraws the setting.
        encrypted: keep the value sealed. The answer does not show it.
        effective_from: None is now. The past is refused: what was in force stays what was in force.
        by: who says so.

    Raises:
        InvalidRequest: the value is not of the type; `effective_from` is past or 100 years ahead.
        SettingExists: a value from that very instant is recorded.
        UnknownReference: no such business unit.
    """
    at = now()
    begins = effective_from or at
    if begins < at:
        raise InvalidRequest("effective_from: a setting cannot change the past", param="effective_from")
    if begins > at + _FARTHEST:
        raise InvalidRequest("effective_from: more than 100 years ahead", param="effective_from")
    kept = None if value is None else _checked(type, value)
    sealed = None
    if encrypted and kept is not None:
        sealed = tenancy.key_ring.seal(
            orjson.dumps(kept), bound_to=_bound_to(tenant_id, business_unit_id, key)
        )
        kept = None
    setting = Setting(key, business_unit_id, type, kept, sealed, begins, at, by)
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            await store.insert_setting(connection, tenant_id, new_id(), setting)
    return setting


async def in_force(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    business_unit_id: UUID | None = None,
    at: datetime | None = None,
    after: str | None = None,
    count: int = 100,
) -> list[Setting]:
    """The settings that hold at an instant (now), in order of keys, sealed ones closed.

    For a unit, the nearest value on the way up to the tenant counts.
    """
    async with tenancy.database.tenant(tenant_id) as connection:
        return await store.settings_in_force(
            connection,
            tenant_id,
            business_unit_id=business_unit_id,
            key=None,
            at=at or now(),
            after=after,
            count=count,
        )


async def get_setting(
    tenancy: Tenancy,
    tenant_id: int,
    key: str,
    *,
    business_unit_id: UUID | None = None,
    at: datetime | None = None,
) -> Setting:
    """One setting as `in_force` finds it. Raises SettingNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        found = await store.settings_in_force(
            connection,
            tenant_id,
            business_unit_id=business_unit_id,
            key=key,
            at=at or now(),
            after=None,
            count=1,
        )
    if not found:
        raise SettingNotFound(f"no value of {key} is in force")
    return found[0]


async def value_in_force(
    tenancy: Tenancy,
    tenant_id: int,
    key: str,
    *,
    business_unit_id: UUID | None = None,
    at: datetime | None = None,
) -> Any:
    """The value itself, opened if it is sealed; a NUMBER as Decimal. For other rooms, not for show.

    Raises:
        SettingNotFound: nothing is in force.
        SealBroken: the value was altered, or its key is gone.
    """
    setting = await get_setting(tenancy, tenant_id, key, business_unit_id=business_unit_id, at=at)
    if setting.sealed is not None:
        opened = tenancy.key_ring.open(
            setting.sealed, bound_to=_bound_to(tenant_id, setting.business_unit_id, key)
        )
        setting = replace(setting, value=orjson.loads(opened))
    return Decimal(setting.value) if setting.type is SettingType.NUMBER else setting.value


def _bound_to(tenant_id: int, business_unit_id: UUID | None, key: str) -> str:
    return f"tenancy.configuration:{tenant_id}:{business_unit_id or 'tenant'}:{key}"


def _checked(type: SettingType, value: Any) -> Any:
    """The value as it is stored: a NUMBER as its decimal text, which no JSON reader makes a float of."""
    if type is SettingType.NUMBER:
        return _number(value)
    if type is SettingType.JSON:
        _check_json(value, 0)
        return value
    expected = str if type is SettingType.STRING else bool
    if not isinstance(value, expected):
        raise InvalidRequest(f"value: a {type} setting needs a {type.lower()}", param="value")
    _check_json(value, 0)
    return value


def _number(value: Any) -> str:
    if isinstance(value, (int, str)) and not isinstance(value, bool) and len(str(value)) <= _MAX_DIGITS:
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and "e" not in str(value).lower():
            return format(number, "f")
    raise InvalidRequest(
        f'value: a NUMBER is a whole number or a string like "0.25", at most {_MAX_DIGITS} characters',
        param="value",
    )


def _check_json(value: Any, depth: int) -> None:
    """Refuses what jsonb cannot hold exactly."""
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"value: nested more than {_MAX_DEPTH} deep", param="value")
    if isinstance(value, float):
        raise InvalidRequest("value: write fractions as strings, they are kept exactly", param="value")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise InvalidRequest("value: whole numbers have at most 64 bits", param="value")
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise InvalidRequest("value: text with a NUL or half a surrogate pair", param="value")
    if isinstance(value, dict):
        for name, member in value.items():
            _check_json(name, depth + 1)
            _check_json(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check_json(member, depth + 1)
