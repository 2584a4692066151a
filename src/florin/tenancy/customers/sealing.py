"""What is personal of a customer: checked, sealed, indexed, opened. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from florin.kernel.contacts import normal_email, normal_phone
from florin.kernel.errors import InvalidRequest
from florin.kernel.masking import mask_account, mask_email, mask_name, mask_phone
from florin.kernel.vault import Person, TenantKeys
from florin.tenancy.customers.account_numbers import normal_account
from florin.tenancy.customers.model import BankAccount, Customer, CustomerRow

FIELDS: Final[tuple[str, ...]] = ("name", "email", "phone", "account")
"""The personal fields, under whose names values are sealed."""

_INDEXED: Final = ("email", "phone", "account")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer is looked up by: the kind of index and the value in its one spelling."""

    kind: str
    value: str


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with personal fields in their one spelling.

    Raises:
        InvalidRequest: an address or a number is none; names the field.
    """
    found = dict(changes)
    if found.get("email") is not None:
        found["email"] = _spelled("email", normal_email, found["email"])
    if found.get("phone") is not None:
        found["phone"] = _spelled("phone", lambda text: normal_phone(text, None), found["phone"])
    if found.get("account") is not None:
        account: BankAccount = found["account"]
        number = _spelled("account.number", normal_account, account.number)
        found["account"] = BankAccount(number, account.bank_code)
    return found


def wanted(kind: str, text: str) -> Wanted:
    """What to look for. Raises InvalidRequest."""
    if kind == "account":
        return Wanted(kind, _spelled("account_number", normal_account, text))
    return Wanted(kind, checked({kind: text})[kind])


def sealed(keys: TenantKeys, person: Person, values: Mapping[str, Any]) -> dict[str, bytes | None]:
    """The columns of these personal fields. None empties one."""
    columns: dict[str, bytes | None] = {}
    for name in FIELDS:
        if name not in values:
            continue
        value = values[name]
        columns[f"{name}_sealed"] = None if value is None else person.seal(name, _text(value))
        if name in _INDEXED:
            columns[f"{name}_index"] = None if value is None else keys.blind(name, _number(value))
    return columns


def opened(row: CustomerRow, person: Person | None) -> Customer:
    """The customer as it is; `person` None: none, or erased."""
    found: dict[str, Any] = {"name": row.name, "email": row.email, "phone": None, "account": None}
    if person is not None:
        for name in FIELDS:
            value: bytes | None = getattr(row, f"{name}_sealed")
            if value is not None and found[name] is None:  # what an earlier version wrote last, counts
                found[name] = person.open(name, value)
        if found["account"] is not None:
            found["account"] = BankAccount(**orjson.loads(found["account"]))
    return Customer(
        row.id,
        row.partner_id,
        row.business_unit_id,
        row.reference,
        row.person_id,
        **found,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        erased_at=row.erased_at,
    )


def masked(customer: Customer) -> dict[str, Any]:
    """The personal fields as those see them who may not read them."""
    account = customer.account
    return {
        "name": customer.name and mask_name(customer.name),
        "email": customer.email and mask_email(customer.email),
        "phone": customer.phone and mask_phone(customer.phone),
        "account": account and BankAccount(mask_account(account.number), account.bank_code),
    }


def _spelled(param: str, normal: Callable[[str], str], text: str) -> str:
    try:
        return normal(text)
    except ValueError as error:
        raise InvalidRequest(f"{param} {error}", param=param) from None


def _text(value: str | BankAccount) -> str:
    if isinstance(value, BankAccount):
        return orjson.dumps({"number": value.number, "bank_code": value.bank_code}).decode()
    return value


def _number(value: str | BankAccount) -> str:
    return value.number if isinstance(value, BankAccount) else value.lower()
