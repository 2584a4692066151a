"""Background work of tenancy."""

from datetime import timedelta

from florin.kernel.clock import now
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import measure


async def measure_usage(tenancy: Tenancy) -> None:
    """Measures yesterday, which is complete by now, and today so far. Run it every hour or so."""
    today = now().date()
    await measure(tenancy, today - timedelta(days=1))
    await measure(tenancy, today)
