"""The only caller of queries.sql. Every function runs in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg.types.json import Jsonb

from florin.access.senders import Channel
from florin.access.signin.model import Account, Books, Challenge, ChallengePurpose, Code, LockedUser, Purpose
from florin.access.signin.policy import Tries
from florin.kernel.db import Connection

_queries: Final[Any] = aiosql.from_path(Path(__file__).parent / "queries.sql", "apsycopg")


async def tenant_id_of(connection: Connection, code: str, *, live: bool) -> int | None:
    """The tenant's number; None: there is no such tenant. Needs no tenant's context."""
    row = await _queries.books(connection, code=code, live=live)
    return None if row is None else int(row[0])


async def books(connection: Connection, tenant_id: int) -> Books | None:
    """One twin of a tenant; None: there is no such tenant."""
    row = await _queries.books_of(connection, tenant_id=tenant_id)
    if row is None:
        return None
    name, country, status = await _queries.books_details(connection, tenant_id=tenant_id)
    id, code, live = row
    return Books(id, code, live, name, country, status == "ACTIVE")


def _account(row: Sequence[Any] | None) -> Account | None:
    if row is None:
        return None
    found = Account(*row)
    if found.code_channel is None:
        return found
    return replace(found, code_channel=Channel(found.code_channel))


async def find_account(
    connection: Connection,
    tenant_id: int,
    *,
    user_name: str | None,
    email_index: bytes | None,
    phone_index: bytes | None,
) -> Account | None:
    """The user of a login."""
    return _account(
        await _queries.find_account(
            connection,
            tenant_id=tenant_id,
            user_name=user_name,
            email_index=email_index,
            phone_index=phone_index,
        )
    )


async def account(connection: Connection, tenant_id: int, user_id: UUID) -> Account | None:
    """A user who is not deleted."""
    return _account(await _queries.account(connection, tenant_id=tenant_id, id=user_id))


async def lock_user(connection: Connection, tenant_id: int, user_id: UUID) -> LockedUser | None:
    """Status and password, locked; None: there is no such user."""
    row = await _queries.lock_user(connection, tenant_id=tenant_id, id=user_id)
    return None if row is None else LockedUser(*row)


async def activate(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    """INVITED becomes ACTIVE; anybody else stays as he is."""
    await _queries.activate(connection, tenant_id=tenant_id, id=user_id, now=at)


async def set_password(
    connection: Connection, tenant_id: int, user_id: UUID, password_hash: str, at: datetime
) -> None:
    """Writes the hash of a new password."""
    await _queries.set_password(
        connection, tenant_id=tenant_id, id=user_id, password_hash=password_hash, now=at
    )


async def rehash_password(
    connection: Connection, tenant_id: int, user_id: UUID, old_hash: str, new_hash: str
) -> None:
    """Writes the same password's hash under newer parameters, unless the password has changed."""
    await _queries.rehash_password(
        connection, tenant_id=tenant_id, id=user_id, old_hash=old_hash, new_hash=new_hash
    )


async def remember_password(
    connection: Connection,
    tenant_id: int,
    user_id: UUID,
    id: UUID,
    password_hash: str,
    *,
    keep: int,
    at: datetime,
) -> None:
    """Keeps the hash of a password that is replaced, and no more than `keep` of them."""
    await _queries.insert_former_password(
        connection, tenant_id=tenant_id, user_id=user_id, id=id, password_hash=password_hash, now=at
    )
    await _queries.forget_former_passwords(connection, tenant_id=tenant_id, user_id=user_id, keep=keep)


async def former_passwords(connection: Connection, tenant_id: int, user_id: UUID, count: int) -> list[str]:
    """Hashes of the last passwords, newest first."""
    rows = _queries.former_passwords(connection, tenant_id=tenant_id, user_id=user_id, count=count)
    return [row[0] async for row in rows]


async def verify_contact(
    connection: Connection, tenant_id: int, user_id: UUID, channel: Channel, destination: bytes, at: datetime
) -> None:
    """Marks an address or number as proved, if it is still the one that the code was sent to."""
    query = _queries.verify_phone if channel is Channel.SMS else _queries.verify_email
    await query(connection, tenant_id=tenant_id, id=user_id, destination=destination, now=at)


async def permissions_tenant_wide(
    connection: Connection, tenant_id: int, user_id: UUID, at: datetime
) -> set[str]:
    """What a user may do in the whole tenant."""
    found = await _queries.permissions_tenant_wide(connection, tenant_id=tenant_id, user_id=user_id, at=at)
    return set(found or ())


async def permissions_anywhere(
    connection: Connection, tenant_id: int, user_id: UUID, at: datetime
) -> tuple[list[str], dict[UUID, list[str]]]:
    """What a user may do in the whole tenant, and by business unit."""
    whole, units = await _queries.permissions_anywhere(
        connection, tenant_id=tenant_id, user_id=user_id, at=at
    )
    return list(whole or ()), {UUID(unit): held for unit, held in (units or {}).items()}


async def is_within_units(
    connection: Connection, tenant_id: int, user_id: UUID, units: frozenset[UUID], at: datetime
) -> bool:
    """Whether a user has roles in these units and nowhere else."""
    return bool(
        await _queries.is_within_units(
            connection, tenant_id=tenant_id, user_id=user_id, units=list(units), at=at
        )
    )


async def session(connection: Connection, tenant_id: int, session_id: UUID) -> tuple[UUID, list[str]]:
    """Whose a session is, and how it was begun."""
    user_id, methods = await _queries.session(connection, tenant_id=tenant_id, id=session_id)
    return user_id, methods


async def address_is_known(
    connection: Connection, tenant_id: int, user_id: UUID, address: str | None, since: datetime
) -> bool:
    """Whether the user has signed in from this address."""
    return bool(
        await _queries.address_is_known(
            connection, tenant_id=tenant_id, user_id=user_id, address=address, since=since
        )
    )


async def lock_user_tries(
    connection: Connection, tenant_id: int, user_id: UUID, *, known: bool, at: datetime
) -> Tries:
    """Failures of a user, locked."""
    row = await _queries.lock_user_tries(
        connection, tenant_id=tenant_id, user_id=user_id, known=known, now=at
    )
    return Tries(*row)


async def set_user_tries(
    connection: Connection, tenant_id: int, user_id: UUID, tries: Tries, *, known: bool
) -> None:
    """Writes locked failures down."""
    await _queries.set_user_tries(
        connection,
        tenant_id=tenant_id,
        user_id=user_id,
        known=known,
        failures=tries.failures,
        failed_at=tries.failed_at,
        locked_until=tries.locked_until,
    )


async def forgive_user(
    connection: Connection, tenant_id: int, user_id: UUID, *, known: bool | None = None
) -> int:
    """No failures any more. Returns how many rows changed by it."""
    return int(await _queries.forgive_user(connection, tenant_id=tenant_id, user_id=user_id, known=known))


async def lock_address_tries(connection: Connection, tenant_id: int, address: str, at: datetime) -> Tries:
    """Failures of an address, locked."""
    row = await _queries.lock_address_tries(connection, tenant_id=tenant_id, address=address, now=at)
    return Tries(*row)


async def set_address_tries(connection: Connection, tenant_id: int, address: str, tries: Tries) -> None:
    """Writes locked failures down."""
    await _queries.set_address_tries(
        connection,
        tenant_id=tenant_id,
        address=address,
        failures=tries.failures,
        failed_at=tries.failed_at,
        locked_until=tries.locked_until,
    )


async def record(
    connection: Connection,
    tenant_id: int,
    action: str,
    entity_type: str,
    entity_id: str,
    after: Mapping[str, object] | None = None,
) -> None:
    """A line of the audit log for what is no change of a row."""
    await _queries.record(
        connection,
        tenant_id=tenant_id,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        after=None if after is None else Jsonb(after),
    )


async def insert_challenge(
    connection: Connection, tenant_id: int, challenge: Challenge, digest: bytes, at: datetime
) -> None:
    """Writes a new challenge."""
    await _queries.insert_challenge(
        connection,
        tenant_id=tenant_id,
        id=challenge.id,
        user_id=challenge.user_id,
        digest=digest,
        purpose=challenge.purpose,
        methods=challenge.methods,
        now=at,
        expires_at=challenge.expires_at,
    )


async def lock_challenge(connection: Connection, tenant_id: int, digest: bytes) -> Challenge | None:
    """The challenge of a token, locked."""
    row = await _queries.lock_challenge(connection, tenant_id=tenant_id, digest=digest)
    if row is None:
        return None
    id, user_id, purpose, *rest = row
    return Challenge(id, user_id, ChallengePurpose(purpose), *rest)


async def count_challenge(connection: Connection, tenant_id: int, id: UUID) -> None:
    """One attempt more at a locked challenge."""
    await _queries.count_challenge(connection, tenant_id=tenant_id, id=id)


async def use_challenge(connection: Connection, tenant_id: int, id: UUID, at: datetime) -> bool:
    """Ends a locked challenge. False: it was ended already."""
    return bool(await _queries.use_challenge(connection, tenant_id=tenant_id, id=id, now=at))


async def end_open(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    """Ends all of a user's challenges and codes."""
    await _queries.end_challenges(connection, tenant_id=tenant_id, user_id=user_id, now=at)
    await _queries.end_codes(connection, tenant_id=tenant_id, user_id=user_id, purpose=None, now=at)


async def insert_code(connection: Connection, tenant_id: int, code: Code, at: datetime) -> None:
    """Writes a new code and ends earlier ones of its purpose."""
    await _queries.end_codes(
        connection, tenant_id=tenant_id, user_id=code.user_id, purpose=code.purpose, now=at
    )
    await _queries.insert_code(
        connection,
        tenant_id=tenant_id,
        id=code.id,
        user_id=code.user_id,
        purpose=code.purpose,
        channel=code.channel,
        destination=code.destination,
        digest=code.digest,
        now=at,
        expires_at=code.expires_at,
    )


async def lock_code(connection: Connection, tenant_id: int, id: UUID) -> Code | None:
    """A code, locked."""
    row = await _queries.lock_code(connection, tenant_id=tenant_id, id=id)
    if row is None:
        return None
    id, user_id, purpose, channel, *rest = row
    return Code(id, user_id, Purpose(purpose), Channel(channel), *rest)


async def count_code(connection: Connection, tenant_id: int, id: UUID) -> None:
    """One attempt more at a locked code."""
    await _queries.count_code(connection, tenant_id=tenant_id, id=id)


async def use_code(connection: Connection, tenant_id: int, id: UUID, at: datetime) -> bool:
    """Uses a locked code. False: it was used already."""
    return bool(await _queries.use_code(connection, tenant_id=tenant_id, id=id, now=at))


async def code_sent(
    connection: Connection, tenant_id: int, id: UUID, sent_at: datetime | None, failure: str | None
) -> None:
    """Writes down how sending ended."""
    await _queries.code_sent(connection, tenant_id=tenant_id, id=id, sent_at=sent_at, failure=failure)


async def lock_quota(connection: Connection, tenant_id: int, subject: bytes, at: datetime) -> list[datetime]:
    """When a subject asked for codes, locked."""
    row = await _queries.lock_quota(connection, tenant_id=tenant_id, subject=subject, now=at)
    return list(row[0])


async def set_quota(
    connection: Connection, tenant_id: int, subject: bytes, asked_at: list[datetime], at: datetime
) -> None:
    """Writes a locked quota down."""
    await _queries.set_quota(connection, tenant_id=tenant_id, subject=subject, asked_at=asked_at, now=at)


async def put_secret(
    connection: Connection, tenant_id: int, user_id: UUID, sealed: bytes, at: datetime
) -> bool:
    """Keeps the secret of an authenticator app. False: one is confirmed already."""
    return bool(
        await _queries.put_secret(
            connection, tenant_id=tenant_id, user_id=user_id, secret_sealed=sealed, now=at
        )
    )


async def take_step(connection: Connection, tenant_id: int, user_id: UUID, step: int) -> bool:
    """Takes a code of this step. False: one of it, or of a later one, was taken."""
    return bool(await _queries.take_step(connection, tenant_id=tenant_id, user_id=user_id, step=step))


async def confirm_secret(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> bool:
    """Turns the authenticator app on. False: it is on already, or there is none."""
    return bool(await _queries.confirm_secret(connection, tenant_id=tenant_id, user_id=user_id, now=at))


async def drop_secret(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    """No authenticator app any more."""
    await _queries.drop_secret(connection, tenant_id=tenant_id, user_id=user_id, now=at)


async def set_code_channel(
    connection: Connection, tenant_id: int, user_id: UUID, channel: Channel | None, at: datetime
) -> None:
    """Where codes are sent as a second factor."""
    await _queries.set_code_channel(connection, tenant_id=tenant_id, user_id=user_id, channel=channel, now=at)


async def replace_recovery_codes(
    connection: Connection, tenant_id: int, user_id: UUID, digests: Sequence[bytes], at: datetime
) -> None:
    """Ends the old ones and writes fresh ones; none: there are no more."""
    await _queries.end_recovery_codes(connection, tenant_id=tenant_id, user_id=user_id, now=at)
    await _queries.insert_recovery_codes(
        connection, tenant_id=tenant_id, user_id=user_id, digests=list(digests), now=at
    )


async def use_recovery_code(
    connection: Connection, tenant_id: int, user_id: UUID, digest: bytes, at: datetime
) -> bool:
    """Uses one. False: there is none such, or it was used."""
    return bool(
        await _queries.use_recovery_code(
            connection, tenant_id=tenant_id, user_id=user_id, digest=digest, now=at
        )
    )


async def recovery_codes_left(connection: Connection, tenant_id: int, user_id: UUID) -> int:
    """How many can still be used."""
    return int(await _queries.recovery_codes_left(connection, tenant_id=tenant_id, user_id=user_id))


async def forget(
    connection: Connection, tenant_id: int, *, counted_before: datetime, ended_before: datetime
) -> int:
    """Deletes what means nothing any more. Returns how many rows."""
    gone = 0
    for query in (_queries.forget_lock_outs, _queries.forget_address_failures, _queries.forget_quotas):
        gone += int(await query(connection, tenant_id=tenant_id, before=counted_before))
    for query in (_queries.forget_challenges, _queries.forget_codes):
        gone += int(await query(connection, tenant_id=tenant_id, before=ended_before))
    return gone
