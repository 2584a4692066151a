import asyncio
from urllib.parse import parse_qs, urlsplit

from florin.providers.provider import OutcomeStatus
from florin.providers.sandbox.in_process import InProcessSandbox
from florin.providers.sandbox.rules import Timings
from tests.providers.sandbox.conftest import KEYS, TIMINGS, Inbox, in_process, make_charge

SUCCEEDED, PENDING = OutcomeStatus.SUCCEEDED, OutcomeStatus.PENDING


def another_process(inbox: Inbox | None = None, timings: Timings = TIMINGS) -> InProcessSandbox:
    """A sandbox that never saw any of the charges."""
    return InProcessSandbox(
        keys=KEYS,
        deliver=(inbox or Inbox()).take,
        redirect_url="http://florin.test/sandbox/redirect",
        timings=timings,
    )


async def test_another_process_knows_the_same_outcomes() -> None:
    other = another_process()
    async with in_process() as form:
        for token in ("tok_success", "tok_declined", "tok_3ds", "tok_refund_fails", "tok_late_success"):
            charge = make_charge(token)
            assert await form.provider.charge(charge) == await other.inquire(charge)


async def test_a_late_result_follows_from_the_age_of_the_charge() -> None:
    other = another_process(timings=Timings(late_s=2))
    for age_s, status in ((1, PENDING), (3, SUCCEEDED)):
        outcome = await other.inquire(make_charge("tok_late_success", age_s=age_s))
        assert outcome is not None
        assert outcome.status is status


async def test_another_process_can_show_and_take_the_redirect() -> None:
    inbox = Inbox()
    other = another_process(inbox)
    async with in_process() as form:
        charge = make_charge("tok_3ds", return_url="https://shop.test/")
        url = (await form.provider.charge(charge)).redirect_url
    query = {name: values[0] for name, values in parse_qs(urlsplit(url or "").query).items()}
    redirection = other.awaiting(charge.reference, query)
    assert redirection is not None
    assert redirection.return_url == "https://shop.test/"
    other.decide(redirection, approved=True)
    await inbox.wait_for(1)
    [event] = other.parse_webhook(*inbox.received[0])
    assert (event.reference, event.outcome.status) == (charge.reference, SUCCEEDED)
    await other.close()


async def test_a_forged_redirect_link_leads_nowhere() -> None:
    async with in_process() as form:
        url = (await form.provider.charge(make_charge("tok_3ds"))).redirect_url or ""
        another = (
            await form.provider.charge(make_charge("tok_3ds", reference="att_other"))
        ).redirect_url or ""
        for forged in (
            url.partition("?")[0],
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url.replace("charge=e", "charge=f"),
            f"{url.partition('?')[0]}?{another.partition('?')[2]}",
        ):
            assert (await form.look(forged)).status_code == 404
            assert (await form.press(forged, "approve")).status_code == 404
        assert (await form.look(url)).status_code == 200


async def test_closing_gives_up_the_webhooks_still_to_come() -> None:
    inbox = Inbox()
    sandbox = another_process(inbox)
    before = asyncio.all_tasks()
    await sandbox.charge(make_charge("tok_late_success"))
    assert len(asyncio.all_tasks() - before) == 1
    await sandbox.close()
    assert asyncio.all_tasks() == before
    assert inbox.attempts == 0
