"""The rooms that a process opens, and in which order they close."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from florin.access.people.room import People
from florin.access.senders import open_senders
from florin.access.service import Access
from florin.access.sessions.service import render_session
from florin.access.signin.room import SignIn
from florin.access.tokens.rooms import open_tokens
from florin.access.views import render_ending
from florin.audit.reads import open_witness
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.events import register
from florin.kernel.http.call import Rooms
from florin.kernel.notify import Listener, Notifier
from florin.kernel.outbound import Confinement
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.ledger.clearing.views import render_overdue
from florin.ledger.monitors.views import render_crossing
from florin.ledger.proof.render import render_fault
from florin.ledger.seals.service import Seals
from florin.ledger.service import Ledger
from florin.payments.recovery import apply_provider_event
from florin.payments.room import Payments
from florin.payments.views import render_payment, render_refund
from florin.privacy.room import Privacy
from florin.providers.registry import open_providers
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import UsageMeter
from florin.webhooks.service import Webhooks


def key_ring(settings: Settings) -> KeyRing:
    """The keys that seal secrets: from the settings, else from a private file, made when missing."""
    if settings.key_ring is not None:
        return KeyRing.parse(settings.key_ring.get_secret_value())
    return KeyRing.from_file(settings.key_ring_file or settings.data_dir / "key_ring")


def confinement(settings: Settings) -> Confinement:
    """Where webhooks may go. The receiver that `florin run` brings along is trusted by name."""
    trusted = frozenset[tuple[str, int]]()
    if settings.receiver_url is not None:
        parts = urlsplit(settings.receiver_url)
        trusted = frozenset({(parts.hostname or "", parts.port or 80)})
    return Confinement(allow_private=settings.allow_private_webhooks, trusted=trusted)


@asynccontextmanager
async def open_rooms(settings: Settings, url: str) -> AsyncIterator[Rooms]:
    """Everything that endpoints and jobs reach through `rooms[...]`, on one pool of connections.

    `url` is a login as `florin_app`. Raises PoolTimeout when the database does not answer.
    """
    rooms = Rooms()
    register("payment", render_payment)
    register("refund", render_refund)
    register("balance_monitor", render_crossing)
    register("clearing", render_overdue)
    register("ledger_fault", render_fault)
    register("api_key", render_ending)
    register("session", render_session)
    async with Database(url, size=settings.pool_size) as database:
        keys = key_ring(settings)
        notifier, listener = Notifier(database), Listener(url)
        meter = UsageMeter(database)
        ledger = Ledger(database)

        async def deliver(headers: Mapping[str, str], body: bytes) -> None:
            await apply_provider_event(payments, "sandbox", headers, body)

        providers = open_providers(settings, deliver_webhook=deliver)
        vault = Vault(database, keys)
        tenancy = Tenancy(database, notifier, keys, vault)
        payments = Payments(database, ledger, tenancy, providers, notifier)
        access = Access(database, notifier, listener=listener, settings=settings, meter=meter)
        signing_keys, sessions, callers = open_tokens(settings, database, keys, access, listener)
        sign_in = SignIn(database, vault, tenancy, sessions, open_senders(settings), settings)
        for room in (
            settings,
            database,
            keys,
            vault,
            Privacy(tenancy, settings),
            People(database, vault, notifier),
            open_witness(database),
            notifier,
            listener,
            meter,
            ledger,
            Seals(ledger, keys),
            payments,
            tenancy,
            access,
            signing_keys,
            sessions,
            callers,
            sign_in,
            Webhooks(database, notifier, keys, confinement(settings)),
        ):
            rooms.add(room)
        try:
            yield rooms
        finally:
            await sign_in.close()
            for provider in providers.values():
                await provider.close()
