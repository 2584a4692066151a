"""What is old is forgotten."""

from datetime import timedelta

from florin.access.signin.jobs import forget
from florin.access.signin.room import SignIn

from .conftest import MovableClock, User
from .test_codes import ask


async def test_what_is_old_is_forgotten_and_what_is_not_stays(
    room: SignIn, ann: User, clock: MovableClock
) -> None:

    clock.move(-timedelta(days=40))
    await ask(room, ann, ann.phone, address="192.0.2.1")
    clock.move(timedelta(days=40))
    await ask(room, ann, ann.email)
    gone = await forget(room.database, ann.tenant.tenant_id)
    assert gone == 3, "the code, and the quotas of the number and the address"
    async with room.database.tenant(ann.tenant.tenant_id) as connection:
        rows = await connection.execute("SELECT count(*) FROM access.one_time_codes")
        assert await rows.fetchone() == (1,)
