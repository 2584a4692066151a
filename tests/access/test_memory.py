"""What is remembered of look-ups, and what of it is believed."""

import asyncio
from math import inf
from uuid import UUID

import pytest

from florin.access.errors import TenantNotActive
from florin.access.memory import Known, Memory
from florin.kernel.errors import Unauthenticated, Unavailable
from florin.kernel.http.call import Principal

from .conftest import Clock

HOLDER = Principal(tenant_id=1, partner_id=None, id=UUID(int=1), scopes=frozenset(), live=True)


class Source:
    """Answers look-ups, and counts them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked = 0
        self.answer: Known[Principal] | Exception = self.known()

    def known(self, holder: Principal | None = HOLDER, tenant_id: int = 1) -> Known[Principal]:
        return Known(tenant_id, holder, None, inf, self.clock.at + 10)

    async def __call__(self, asked: str) -> Known[Principal]:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def source() -> Source:
    return Source(Clock())


@pytest.fixture
def memory(source: Source) -> Memory[str, Principal]:
    return Memory(source, clock=source.clock, max_known=2, max_unknown=2)


async def test_an_answer_is_believed_until_it_is_not_fresh(
    source: Source, memory: Memory[str, Principal]
) -> None:
    for pause_s, asked in ((0, 1), (9, 1), (1, 2)):
        source.clock.at += pause_s
        assert await memory.holder(b"a", "a") is HOLDER
        assert source.asked == asked
        source.answer = source.known()


async def test_what_has_expired_is_refused_although_it_is_fresh(
    source: Source, memory: Memory[str, Principal]
) -> None:
    source.answer = Known(1, HOLDER, None, source.clock.at + 5, source.clock.at + 10)
    await memory.holder(b"a", "a")
    source.clock.at += 5
    assert memory.remembered(b"a") is None
    with pytest.raises(Unauthenticated):
        await memory.holder(b"a", "a")
    assert source.asked == 1


async def test_a_refusal_is_remembered_and_raised(source: Source, memory: Memory[str, Principal]) -> None:
    source.answer = Known(1, HOLDER, TenantNotActive, inf, source.clock.at + 10)
    for _ in range(2):
        with pytest.raises(TenantNotActive):
            await memory.holder(b"a", "a")
    assert memory.remembered(b"a") is None
    assert source.asked == 1


async def test_an_error_goes_to_all_who_wait_and_is_not_remembered(
    source: Source, memory: Memory[str, Principal]
) -> None:
    source.answer = Unavailable()
    answers = await asyncio.gather(*(memory.holder(b"a", "a") for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert source.asked == 1
    source.answer = source.known()
    assert await memory.holder(b"a", "a") is HOLDER


async def test_what_was_known_is_kept_and_not_believed_once_it_is_forgotten(
    source: Source, memory: Memory[str, Principal]
) -> None:
    await memory.holder(b"a", "a")
    memory.forget(2)
    assert memory.remembered(b"a") is HOLDER
    memory.forget(1)
    assert memory.remembered(b"a") is None
    assert memory.has_known(b"a")
    source.answer = source.known(None)
    with pytest.raises(Unauthenticated):
        await memory.holder(b"a", "a")
    assert not memory.has_known(b"a")


async def test_what_a_change_overtakes_on_its_way_is_answered_and_not_remembered(
    source: Source, memory: Memory[str, Principal]
) -> None:
    asking = asyncio.create_task(memory.holder(b"a", "a"))
    for _ in range(2):  # the look-up has set out
        await asyncio.sleep(0)
    memory.forget(None)
    assert await asking is HOLDER
    assert memory.remembered(b"a") is None


async def test_known_and_unknown_have_places_of_their_own(
    source: Source, memory: Memory[str, Principal]
) -> None:
    await memory.holder(b"a", "a")
    source.answer = source.known(None)
    for n in range(9):
        with pytest.raises(Unauthenticated):
            await memory.holder(b"%d" % n, "x")
    assert (len(memory.known), len(memory.unknown)) == (1, 2)
    source.answer = source.known()
    for name in (b"b", b"c"):
        await memory.holder(name, "x")
    assert list(memory.known) == [b"b", b"c"], "the longest unused is forgotten first"
