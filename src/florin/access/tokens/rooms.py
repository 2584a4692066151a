"""What a process opens for sessions and tokens."""

import time
from collections.abc import Callable
from datetime import timedelta

from florin.access.service import Access
from florin.access.sessions.policy import Lifetimes
from florin.access.sessions.service import Sessions
from florin.access.signing.service import SigningKeys, issuer_of
from florin.access.tokens.callers import TokenCallers
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.notify import Listener
from florin.kernel.settings import Settings


def open_tokens(
    settings: Settings,
    database: Database,
    ring: KeyRing,
    access: Access,
    listener: Listener | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> tuple[SigningKeys, Sessions, TokenCallers]:
    """The rooms of tokens; from now on `access` lets access tokens in."""
    lifetimes = Lifetimes.of(settings)
    keys = SigningKeys(
        database,
        ring,
        access.notifier,
        issuer=issuer_of(settings),
        lifetime=timedelta(days=settings.signing_key_days),
        listener=listener,
        clock=clock,
    )
    sessions = Sessions(database, keys, changed=access.changed, lifetimes=lifetimes, clock=clock)
    callers = TokenCallers(
        database, keys, access.callers, clock=clock, lifetimes=lifetimes, user_limits=access.user_limits
    )
    access.accept(callers)
    return keys, sessions, callers
