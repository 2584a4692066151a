"""A background process of its own, for tests to kill: `python worker_process.py URL TENANT LEASE_S`."""

import asyncio
import contextlib
import signal
import sys
from datetime import timedelta

from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.events import register
from florin.kernel.housekeeping import kernel_jobs
from florin.kernel.jobs import Jobs
from florin.kernel.notify import Listener, Notifier
from florin.kernel.outbound import Confinement
from florin.webhooks.delivery import Deliverer
from florin.webhooks.worker import run_worker


async def main(url: str, tenant_id: int, lease_s: float) -> None:
    """Works until SIGTERM."""
    register("thing", dict)

    async def tenants() -> list[int]:
        return [tenant_id]

    async with Database(url, size=4) as database:
        deliverer = Deliverer(
            database,
            KeyRing({"k1": bytes(range(32))}),
            Confinement(allow_private=True),
            tenants=tenants,
            sweep_every_s=0.2,
            lease=timedelta(seconds=lease_s),
            grace_s=1,
        )
        jobs = Jobs(url, tenants, kernel_jobs(database))
        worker = asyncio.create_task(run_worker(deliverer, jobs, Listener(url), Notifier(database)))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await worker


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
