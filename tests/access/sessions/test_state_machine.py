"""Whatever is done with sessions in two processes, in whatever order: what works is what should."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from florin.access.sessions.errors import RefreshRefused, SessionNotFound
from florin.access.sessions.model import EndReason, TokenPair
from florin.access.sessions.policy import Lifetimes
from florin.access.sessions.service import end, end_of_user, list_open, owner_of, refresh, sign_out
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy.service import Tenancy, create_tenant
from tests.access.conftest import Clock, bearer
from tests.access.tokens_world import Process, new_user, process
from tests.conftest import AllDatabaseUrls
from tests.tenancy.conftest import DETAILS

LIFETIMES = Lifetimes()
NUMBERS = count(1)
PAUSES = st.sampled_from([timedelta(minutes=1), timedelta(minutes=14), timedelta(days=3), timedelta(days=6)])
Which = st.integers(0, 1_000)
Answer = TypeVar("Answer")


@dataclass
class Known:
    """A session as it should be."""

    owner: int
    id: UUID
    began_at: float
    used_at: float
    refresh_tokens: list[str]
    access: list[tuple[str, float]] = field(default_factory=list)
    ended: bool = False

    def note(self, pair: TokenPair, at: float) -> None:
        assert pair.session_id == self.id
        self.used_at = at
        self.refresh_tokens.append(pair.refresh_token)
        self.access.append((pair.access_token, at + pair.expires_in_s))

    def alive(self, at: float) -> bool:
        idle = LIFETIMES.idle_privileged if self.owner else LIFETIMES.idle
        ends_at = min(self.began_at + LIFETIMES.most.total_seconds(), self.used_at + idle.total_seconds())
        return not self.ended and at < ends_at


class Machine(RuleBasedStateMachine):
    """A tenant of its own, a viewer and an administrator, and two processes with one clock."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self.runner = runner
        self.database = database
        self.clock = Clock()
        self.clock.at = float(int(self.clock.at))
        self.processes = [process(database, clock=self.clock) for _ in range(2)]
        self.sessions: list[Known] = []

    def run(self, work: Awaitable[Answer]) -> Answer:
        async def awaited() -> Answer:
            return await work

        try:
            return self.runner.run(awaited())
        finally:
            for one in self.processes:  # as NOTIFY has them do
                one.access._heard(str(self.tenant_id))

    def at(self, which: int) -> Process:
        return self.processes[which % 2]

    def session(self, which: int) -> Known:
        return self.sessions[which % len(self.sessions)]

    @initialize()
    def open(self) -> None:
        async def tenant() -> int:
            ring = KeyRing({"k1": bytes(32)})
            tenancy = Tenancy(self.database, Notifier(self.database), ring, Vault(self.database, ring))
            return (await create_tenant(tenancy, f"S{next(NUMBERS)}", DETAILS))[0].tenant_id

        self.tenant_id = self.runner.run(tenant())
        self.users = [
            self.run(new_user(self.database, self.tenant_id, [role])) for role in ("viewer", "tenant_admin")
        ]

    @rule(owner=st.integers(0, 1), which=Which)
    def begin(self, owner: int, which: int) -> None:
        pair = self.run(self.at(which).sign_in(self.tenant_id, self.users[owner]))
        at = self.clock.at
        known = Known(owner, pair.session_id, at, at, [])
        known.note(pair, at)
        self.sessions.append(known)

    @precondition(lambda self: self.sessions)
    @rule(which=Which, place=Which)
    def renew(self, which: int, place: int) -> None:
        known = self.session(which)
        renewing = refresh(self.at(place).sessions, known.refresh_tokens[-1])
        if known.alive(self.clock.at):
            known.note(self.run(renewing), self.clock.at)
        else:
            with pytest.raises(RefreshRefused):
                self.run(renewing)

    @precondition(lambda self: any(len(one.refresh_tokens) > 1 for one in self.sessions))
    @rule(which=Which, token=Which, place=Which)
    def renew_with_a_used_token(self, which: int, token: int, place: int) -> None:
        reusable = [one for one in self.sessions if len(one.refresh_tokens) > 1]
        known = reusable[which % len(reusable)]
        used = known.refresh_tokens[token % (len(known.refresh_tokens) - 1)]
        with pytest.raises(RefreshRefused):
            self.run(refresh(self.at(place).sessions, used))
        known.ended = True

    @precondition(lambda self: self.sessions)
    @rule(which=Which, token=Which, place=Which)
    def sign_out(self, which: int, token: int, place: int) -> None:
        known = self.session(which)
        used = known.refresh_tokens[token % len(known.refresh_tokens)]
        self.run(sign_out(self.at(place).sessions, used))
        known.ended = True

    @precondition(lambda self: self.sessions)
    @rule(which=Which, place=Which)
    def end_one(self, which: int, place: int) -> None:
        known = self.session(which)
        ending = end(
            self.at(place).sessions,
            self.tenant_id,
            known.id,
            user_id=self.users[known.owner],
            reason=EndReason.REVOKED,
        )
        if known.ended:
            with pytest.raises(SessionNotFound):
                self.run(ending)
        else:
            self.run(ending)
        known.ended = True

    @precondition(lambda self: self.sessions)
    @rule(which=Which, place=Which)
    def end_all_others(self, which: int, place: int) -> None:
        kept = self.session(which)
        others = [
            one for one in self.sessions if one.owner == kept.owner and one is not kept and not one.ended
        ]
        sessions = self.at(place).sessions
        owner = self.users[kept.owner]
        ended = self.run(end_of_user(sessions, self.tenant_id, owner, EndReason.REVOKED, but=kept.id))
        assert ended == len(others)
        for one in others:
            one.ended = True

    @rule(pause=PAUSES)
    def wait(self, pause: timedelta) -> None:
        self.clock.at += pause.total_seconds()

    @invariant()
    def tokens_work_in_both_processes_while_they_should_and_no_longer(self) -> None:
        for known in self.sessions[-4:]:
            token, over_at = known.access[-1]
            expected = known.alive(self.clock.at) and self.clock.at < over_at
            for one in self.processes:
                try:
                    holder = self.runner.run(one.access.authenticate(bearer(token)))
                except Unauthenticated:
                    assert not expected
                else:
                    assert expected
                    assert (holder.id, holder.session_id) == (self.users[known.owner], known.id)

    @invariant()
    def what_is_listed_is_what_is_alive(self) -> None:
        for number, user_id in enumerate(getattr(self, "users", ())):
            listed = self.runner.run(self._listed(user_id))
            alive = [one.id for one in self.sessions if one.owner == number and one.alive(self.clock.at)]
            assert sorted(listed) == sorted(alive)

    async def _listed(self, user_id: UUID) -> list[UUID]:
        sessions = self.processes[0].sessions
        owner = await owner_of(sessions, self.tenant_id, user_id)
        found = await list_open(sessions, self.tenant_id, user_id, owner, after=None, count=100)
        return [one.id for one in found]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_sessions_work_while_they_should_and_no_longer(
    runner: asyncio.Runner, database_urls: AllDatabaseUrls
) -> None:
    with psycopg.connect(database_urls.root) as root:
        root.execute("DELETE FROM access.signing_keys")
    database = Database(database_urls.app, size=4)
    runner.run(database.open())
    try:
        run_state_machine_as_test(
            lambda: Machine(runner, database),  # type: ignore[arg-type]
            settings=settings(
                max_examples=6,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            ),
        )
    finally:
        runner.run(database.close())
