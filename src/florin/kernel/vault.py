"""Envelope encryption: the key ring wraps keys that stand in the database, and those seal the data.

Each tenant has two keys: one for secrets that are nobody's personal data, one for blind indexes. Each
person has one for everything personal, and erasing the person is destroying it. A new key on the ring
wraps all of these anew; what they sealed stays as it is.

AES-256-GCM, the nonce in front. What a value belongs to is bound in as associated data: a ciphertext
moved to another row, column or person does not open.
"""

import hmac
import os
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

import aiosql
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.db import Connection, Database
from florin.kernel.ids import new_id

PersonKind = Literal["customer", "user"]

_queries: Final[Any] = aiosql.from_path(Path(__file__).with_name("vault.sql"), "apsycopg")

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORM: Final = b"\x01"
"""The first byte of what these keys seal, should there ever be another form."""

_PURPOSES: Final = ("secrets", "index")
_MOST_TENANTS: Final = 10_000


def _seal(key: bytes, value: bytes, bound_to: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return _FORM + nonce + AESGCM(key).encrypt(nonce, value, bound_to.encode())


def _open(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    if sealed[:1] != _FORM:
        raise SealBroken("of a form that this version does not know")
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, body, bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise SealBroken("altered, or moved from where it belongs") from error


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """A tenant's own keys, unwrapped."""

    tenant_id: int
    _secrets: bytes = field(repr=False)
    _index: bytes = field(repr=False)

    def seal(self, value: bytes, *, bound_to: str) -> bytes:
        """Encrypts a secret; only with the same `bound_to`, in this tenant, does it open again."""
        return _seal(self._secrets, value, f"{self.tenant_id}:{bound_to}")

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """The secret. Raises SealBroken."""
        return _open(self._secrets, sealed, f"{self.tenant_id}:{bound_to}")

    def blind(self, kind: str, value: str) -> bytes:
        """32 bytes by which a value of this kind ("email", "phone", "account") is found again.

        Normalise first: what differs by a letter is found by another index.
        """
        return hmac.digest(self._index, f"{kind}:{value}".encode(), sha256)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose key there is. Everything personal goes through it."""

    tenant_id: int
    id: UUID
    _key: bytes = field(repr=False)

    def seal(self, name: str, value: str) -> bytes:
        """Encrypts the field of this name ("email", "name", ...)."""
        return _seal(self._key, value.encode(), self._bound_to(name))

    def open(self, name: str, sealed: bytes) -> str:
        """The field's value. Raises SealBroken."""
        return _open(self._key, sealed, self._bound_to(name)).decode()

    def _bound_to(self, name: str) -> str:
        return f"{self.tenant_id}:{self.id}:{name}"


class Vault:
    """Hands out keys. Those of tenants are remembered unwrapped; those of people never."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring
        self._tenants: OrderedDict[int, TenantKeys] = OrderedDict()

    async def of(self, tenant_id: int) -> TenantKeys:
        """A tenant's keys, made at the first call in a transaction of their own: call it outside of others.

        Raises:
            SealBroken: the key that wraps them is not on the ring.
        """
        known = self._tenants.get(tenant_id)
        if known is not None:
            self._tenants.move_to_end(tenant_id)
            return known
        async with self._database.tenant(tenant_id) as connection:
            wrapped = await self._wrapped(connection, tenant_id)
            missing = [purpose for purpose in _PURPOSES if purpose not in wrapped]
            for purpose in missing:
                key = self._ring.seal(os.urandom(_KEY_BYTES), bound_to=data_key_bound_to(tenant_id, purpose))
                await _queries.insert_data_key(
                    connection, tenant_id=tenant_id, purpose=purpose, wrapped=key, now=now()
                )
            if missing:
                wrapped = await self._wrapped(connection, tenant_id)
        opened = [
            self._ring.open(wrapped[purpose], bound_to=data_key_bound_to(tenant_id, purpose))
            for purpose in _PURPOSES
        ]
        keys = self._tenants[tenant_id] = TenantKeys(tenant_id, *opened)
        while len(self._tenants) > _MOST_TENANTS:
            self._tenants.popitem(last=False)
        return keys

    async def new_person(self, connection: Connection, tenant_id: int, kind: PersonKind) -> Person:
        """A person with a fresh key, written in the caller's transaction."""
        return (await self.new_people(connection, tenant_id, kind, 1))[0]

    async def new_people(
        self, connection: Connection, tenant_id: int, kind: PersonKind, count: int
    ) -> list[Person]:
        """So many people, each with a fresh key, written in the caller's transaction."""
        made = [Person(tenant_id, new_id(), os.urandom(_KEY_BYTES)) for _ in range(count)]
        if made:
            await _queries.insert_people(
                connection,
                tenant_id=tenant_id,
                ids=[one.id for one in made],
                kind=kind,
                wrapped=[self._wrapped_key(one) for one in made],
                now=now(),
            )
        return made

    async def people(
        self, connection: Connection, tenant_id: int, ids: Collection[UUID]
    ) -> dict[UUID, Person]:
        """Those of these people who are not erased, by id. One query for all.

        Raises:
            SealBroken: the key that wraps a person's is not on the ring.
        """
        rows = _queries.people(connection, tenant_id=tenant_id, ids=list(ids))
        return {
            person_id: Person(
                tenant_id,
                person_id,
                self._ring.open(wrapped, bound_to=person_bound_to(tenant_id, person_id)),
            )
            async for person_id, wrapped in rows
        }

    async def erase(self, connection: Connection, tenant_id: int, person_id: UUID, *, by: str) -> bool:
        """Destroys a person's key, in the caller's transaction. False: it was gone already."""
        gone: int = await _queries.erase_person(
            connection, tenant_id=tenant_id, id=person_id, now=now(), by=by
        )
        return gone == 1

    def _wrapped_key(self, person: Person) -> bytes:
        return self._ring.seal(person._key, bound_to=person_bound_to(person.tenant_id, person.id))

    async def _wrapped(self, connection: Connection, tenant_id: int) -> dict[str, bytes]:
        return {
            purpose: bytes(wrapped)
            async for purpose, wrapped in _queries.data_keys(connection, tenant_id=tenant_id)
        }


def data_key_bound_to(tenant_id: int, purpose: str) -> str:
    """What the wrapped key of a tenant is bound to."""
    return f"data_key:{tenant_id}:{purpose}"


def person_bound_to(tenant_id: int, person_id: UUID) -> str:
    """What the wrapped key of a person is bound to."""
    return f"person:{tenant_id}:{person_id}"
