"""Use cases of sessions: begin, renew, end, list.

Locks are taken in this order: the user's row, his sessions by id, then the tenant's end of the audit log.

A session is the family of its refresh tokens, each of which is good once. Its row is the lock: of any number
of requests with the same token exactly one renews, and the next one that comes with it ends the session,
since two hold a token that only one was given (RFC 9700, section 4.14.2). There is no grace for a second
request: docs/decisions/0015-no-grace-for-refresh-tokens.md says why.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

import structlog

from florin.access import store as access_store
from florin.access.errors import PartnerNotActive, TenantNotActive
from florin.access.people import policy
from florin.access.people import store as people_store
from florin.access.people.errors import UserNotFound
from florin.access.people.policy import Actor
from florin.access.sessions import model, store
from florin.access.sessions.errors import RefreshRefused, SessionNotFound, UserNotActive
from florin.access.sessions.model import EndReason, PresentedRefresh, Session, TokenPair
from florin.access.sessions.policy import Lifetimes
from florin.access.sessions.store import FoundSession, Owner
from florin.access.signing.jwt import Claims
from florin.access.signing.model import ACCESS_TOKEN_LIFETIME
from florin.access.signing.service import SigningKeys
from florin.kernel import clock
from florin.kernel.db import Connection, Database
from florin.kernel.errors import Refusal
from florin.kernel.events import Snapshot, instant
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import encode_id, new_id
from florin.kernel.provenance import Provenance
from florin.tenancy.errors import TenantNotFound

log = structlog.get_logger(__name__)

_AT_A_TIME: Final = 500


class Sessions:
    """What a process keeps open for sessions."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        *,
        changed: Callable[[int], None],
        lifetimes: Lifetimes = Lifetimes(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`changed(tenant_id)` makes every process look sessions up anew: Access.changed."""
        self.database = database
        self.keys = keys
        self.changed = changed
        self.lifetimes = lifetimes
        self._clock = clock
        self._live: dict[int, bool] = {}
        self.still_enough: Callable[[int, UUID], Awaitable[bool]] | None = None
        """Whether what a session was begun with is enough for what he may do by now. Asked at renewal."""

    def now(self) -> datetime:
        """The clock's present instant."""
        return datetime.fromtimestamp(self._clock(), UTC)

    async def is_live(self, tenant_id: int) -> bool:
        """Whether a tenant is the live twin, which never changes. Raises TenantNotFound."""
        known = self._live.get(tenant_id)
        if known is None:
            async with self.database.tenant(tenant_id) as connection:
                mode = await access_store.mode(connection, tenant_id)
            if mode is None:
                raise TenantNotFound
            known, _ = mode
            self._live[tenant_id] = known
        return known


async def begin(
    sessions: Sessions,
    tenant_id: int,
    user_id: UUID,
    methods: Sequence[str],
    *,
    address: str | None,
    user_agent: str | None,
) -> TokenPair:
    """A new session of a user who has proved who he is, and its first tokens.

    Args:
        methods: how he proved it, as RFC 8176 names them: `pwd`, `otp`, `sms`.

    Raises:
        UserNotActive: suspended, deleted, or still invited: make him active first.
        TenantNotFound: no such tenant.
    """
    at = sessions.now()
    session = Session(
        id=new_id(),
        user_id=user_id,
        methods=list(methods),
        created_at=at,
        last_used_at=at,
        expires_at=at + sessions.lifetimes.most,
        address=address,
        user_agent=None if user_agent is None else user_agent[: model.MAX_USER_AGENT],
    )
    pair = await _pair(sessions, tenant_id, session.id, user_id, session.expires_at)
    async with sessions.database.tenant(tenant_id) as connection:
        if not await store.insert_session(connection, tenant_id, session):
            raise UserNotActive
        await store.insert_token(connection, tenant_id, model.digest(pair.refresh_token), session.id, 1, at)
    return pair


async def refresh(
    sessions: Sessions, refresh_token: str, provenance: Callable[[str], Provenance] = Provenance
) -> TokenPair:
    """The next tokens of a session, for its last refresh token, which is used up. The session is locked.

    Args:
        provenance: whom the audit log and the event put it down to, given the user's name.

    Raises:
        RefreshRefused: unknown; of a session that has ended or rested too long; of one that was begun without
            a second factor, which the user needs by now; or used before, and then the session has been ended
            by this.
        TenantNotActive, PartnerNotActive: whoever the user belongs to may not call.
    """
    presented = model.parse(refresh_token)
    if presented is None:
        raise RefreshRefused
    tenant_id = presented.tenant_id
    async with sessions.database.tenant(tenant_id) as connection:
        owner = await store.owner(connection, tenant_id, presented.digest)
    if owner is None:
        raise RefreshRefused
    session_id, user_id, expires_at = owner
    if sessions.still_enough is not None and not await sessions.still_enough(tenant_id, session_id):
        raise RefreshRefused
    pair = await _pair(sessions, tenant_id, session_id, user_id, expires_at)
    by = provenance(encode_id("user", user_id))
    async with sessions.database.tenant(tenant_id, by=by) as connection:
        successor = model.digest(pair.refresh_token)
        refusal = await _renew(sessions, connection, presented, session_id, user_id, successor, by)
    if refusal is None:
        return pair
    if refusal == _REUSED:
        sessions.changed(tenant_id)
        log.warning("refresh_token_reused", tenant_id=tenant_id, session_id=encode_id("ses", session_id))
        raise RefreshRefused
    raise refusal


_REUSED: Final[Literal["reused"]] = "reused"
"""The token was used before, and its session has been ended for that. Clients hear RefreshRefused."""


async def _renew(
    sessions: Sessions,
    connection: Connection,
    presented: PresentedRefresh,
    session_id: UUID,
    user_id: UUID,
    successor: bytes,
    by: Provenance,
) -> type[Refusal] | Literal["reused"] | None:
    """Uses the token up and writes its successor; or says why not, having ended the session if need be."""
    tenant_id, at = presented.tenant_id, sessions.now()
    if not await store.lock_session(connection, tenant_id, session_id, user_id):
        return RefreshRefused
    token = await store.token(connection, tenant_id, presented.digest)
    found = await store.find_session(connection, tenant_id, session_id)
    if token is None or found is None:
        return RefreshRefused
    number, used = token
    if used:
        await store.end_session(connection, tenant_id, session_id, user_id, EndReason.REFRESH_REUSED, at)
        data = _snapshot(session_id, found, by, at)
        await store.tell_reuse(connection, tenant_id, new_id(), session_id, found.partner_id, at, data)
        return _REUSED
    refusal = refusal_of(sessions.lifetimes, found, at)
    if refusal is not None:
        return refusal
    await store.use_token(connection, tenant_id, presented.digest, session_id, at)
    await store.insert_token(connection, tenant_id, successor, session_id, number + 1, at)
    return None


def refusal_of(lifetimes: Lifetimes, found: FoundSession, at: datetime) -> type[Refusal] | None:
    """Why a session may not call or be renewed at an instant; None: it may."""
    ends_at = lifetimes.ends_at(found.last_used_at, found.expires_at, found.permissions)
    if found.ended_at is not None or at >= ends_at or found.user_status != "ACTIVE":
        return RefreshRefused
    if found.tenant_status != "ACTIVE":
        return TenantNotActive
    if found.partner_id is not None and found.partner_status != "ACTIVE":
        return PartnerNotActive
    return None


async def sign_out(
    sessions: Sessions, refresh_token: str, provenance: Callable[[str], Provenance] = Provenance
) -> None:
    """Ends the session of a refresh token. Twice is as once; one that is unknown has none."""
    presented = model.parse(refresh_token)
    if presented is None:
        return
    tenant_id = presented.tenant_id
    async with sessions.database.tenant(tenant_id) as connection:
        owner = await store.owner(connection, tenant_id, presented.digest)
    if owner is None:
        return
    session_id, user_id, _ = owner
    by, at = provenance(encode_id("user", user_id)), sessions.now()
    async with sessions.database.tenant(tenant_id, by=by) as connection:
        await store.end_session(connection, tenant_id, session_id, user_id, EndReason.SIGNED_OUT, at)
    sessions.changed(tenant_id)


async def end(
    sessions: Sessions, tenant_id: int, session_id: UUID, *, user_id: UUID, reason: EndReason
) -> None:
    """Ends one session of this user. Raises SessionNotFound."""
    at = sessions.now()
    async with sessions.database.tenant(tenant_id) as connection:
        ended = await store.end_session(connection, tenant_id, session_id, user_id, reason, at)
    if not ended:
        raise SessionNotFound
    sessions.changed(tenant_id)


async def end_of_user(
    sessions: Sessions, tenant_id: int, user_id: UUID, reason: EndReason, *, but: UUID | None = None
) -> int:
    """Ends a user's sessions, all or all but one. Returns how many."""
    async with sessions.database.tenant(tenant_id) as connection:
        ended = await store.end_sessions(connection, tenant_id, user_id, reason, sessions.now(), but)
    sessions.changed(tenant_id)
    return ended


async def end_all(
    connection: Connection, tenant_id: int, user_id: UUID, reason: str, *, but: UUID | None = None
) -> int:
    """Ends a user's sessions, all or all but one, in the caller's transaction. Returns how many.

    Whatever else the transaction changes of the user comes before this. Say CALLERS_CHANGED after the commit:
    until then processes believe what they remember.
    """
    return await store.end_sessions(connection, tenant_id, user_id, reason, clock.now(), but)


async def list_open(
    sessions: Sessions, tenant_id: int, user_id: UUID, owner: Owner, *, after: UUID | None, count: int
) -> list[Session]:
    """Up to `count` of a user's sessions that have not ended, newest first. `owner`: see `owner_of`."""
    at = sessions.now()
    async with sessions.database.tenant(tenant_id) as connection:
        return await store.sessions(
            connection,
            tenant_id,
            user_id,
            now=at,
            used_since=at - sessions.lifetimes.idle_of(owner.permissions),
            after=after,
            count=count,
        )


async def owner_of(
    sessions: Sessions,
    tenant_id: int,
    user_id: UUID,
    *,
    partner_id: UUID | None = None,
    units: frozenset[UUID] | None = None,
) -> Owner:
    """The user whose sessions somebody wants to see or end.

    Args:
        partner_id: who asks is this partner's, and sees its users only.
        units: who asks may in these units only, and sees users all of whose roles lie in them.

    Raises:
        UserNotFound: no such user within reach.
    """
    async with sessions.database.tenant(tenant_id) as connection:
        found = await store.user(connection, tenant_id, user_id, sessions.now())
    if found is None or (partner_id is not None and found.partner_id != partner_id):
        raise UserNotFound
    if units is not None and not (found.assigned_to and found.assigned_to <= units):
        raise UserNotFound
    return found


async def check_outranks(sessions: Sessions, tenant_id: int, user_id: UUID, *, by: Actor) -> None:
    """Refuses to sign a user out who may do more. Raises BeyondOwnPermissions."""
    async with sessions.database.tenant(tenant_id) as connection:
        policy.check_outranks(by, await people_store.held(connection, tenant_id, user_id, sessions.now()))


async def end_expired(sessions: Sessions, tenant_id: int) -> int:
    """Ends sessions that have run out or rested too long, in short transactions. Returns how many.

    Nobody could use them any more; what this spares is their tokens.
    """
    at, ended = sessions.now(), 0
    while True:
        async with sessions.database.tenant(tenant_id) as connection:
            used_before = at - sessions.lifetimes.idle
            gone = await store.end_expired(connection, tenant_id, at, used_before, _AT_A_TIME)
        ended += gone
        if gone < _AT_A_TIME:
            return ended


def access_claims(
    sessions: Sessions, tenant_id: int, live: bool, user_id: UUID, session_id: UUID, ends_at: datetime
) -> Claims:
    """What a session's next access token says; it does not outlive the session."""
    at = sessions.now()
    return Claims(
        tenant_id=tenant_id,
        live=live,
        kind=PrincipalKind.USER,
        subject=user_id,
        jti=new_id(),
        issued_at=int(at.timestamp()),
        expires_at=int(min(at + ACCESS_TOKEN_LIFETIME, ends_at).timestamp()),
        session_id=session_id,
    )


async def _pair(
    sessions: Sessions, tenant_id: int, session_id: UUID, user_id: UUID, ends_at: datetime
) -> TokenPair:
    """Tokens that are good once their session says so. Signed before the transaction begins."""
    live = await sessions.is_live(tenant_id)
    claims = access_claims(sessions, tenant_id, live, user_id, session_id, ends_at)
    return TokenPair(
        access_token=await sessions.keys.sign(claims),
        refresh_token=model.generate(tenant_id),
        expires_in_s=claims.expires_at - claims.issued_at,
        session_id=session_id,
    )


def _snapshot(session_id: UUID, found: FoundSession, by: Provenance, at: datetime) -> dict[str, Any]:
    return {
        "id": str(session_id),
        "user_id": str(found.user_id),
        "created_at": found.created_at.isoformat(),
        "ended_at": at.isoformat(),
        "address": by.address,
        "user_agent": by.user_agent,
    }


def render_session(snapshot: Snapshot) -> dict[str, Any]:
    """What an event says of a session, in the public shape."""
    return {
        "object": "session",
        "id": encode_id("ses", UUID(snapshot["id"])),
        "user": encode_id("user", UUID(snapshot["user_id"])),
        "created_at": instant(snapshot["created_at"]),
        "ended_at": instant(snapshot["ended_at"]),
        "address": snapshot["address"],
        "user_agent": snapshot["user_agent"],
    }
