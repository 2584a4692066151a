"""The background process: webhooks, periodic and deferred jobs."""

import asyncio

from florin.kernel.jobs import Jobs
from florin.kernel.notify import Listener, Notifier
from florin.webhooks.delivery import Deliverer
from florin.webhooks.service import OUTBOX_CHANNEL


async def run_worker(deliverer: Deliverer, jobs: Jobs, listener: Listener, notifier: Notifier) -> None:
    """Runs all of it until cancelled, through restarts of the server; then ends gracefully.

    The listener hears the outbox's channel from here on; what else it hears is the caller's. The database
    that the deliverer and the jobs use stays open until this returns.
    """
    listener.on(OUTBOX_CHANNEL, deliverer.heard)
    async with jobs, asyncio.TaskGroup() as group:
        group.create_task(listener.run())
        group.create_task(notifier.run())
        group.create_task(deliverer.run())
        group.create_task(jobs.run())
