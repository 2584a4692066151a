"""Decisions of signing in: who is locked out and for how long, how much is sent, who needs a second factor.

Every number here is a default that OWASP's authentication guidance and PCI DSS 4.0.1 (8.3.4: at most 10
attempts, 30 minutes or until proved) leave room for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from florin.kernel.permissions import PERMISSIONS, covers

USER_FAILURES: Final = 5
ADDRESS_FAILURES: Final = 20
"""An office, or a carrier's NAT, is one address."""

FIRST_LOCK: Final = timedelta(minutes=1)
LONGEST_LOCK: Final = timedelta(hours=1)
FORGOTTEN_AFTER: Final = timedelta(hours=24)
"""A failure that is older counts no more."""

KNOWN_FOR: Final = timedelta(days=90)
"""An address is known for so long after the user has signed in from it."""

_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Tries:
    """Failures in a row, and until when nothing more is tried."""

    failures: int = 0
    failed_at: datetime | None = None
    locked_until: datetime | None = None

    def locked_at(self, at: datetime) -> bool:
        """Whether nothing is tried at this instant."""
        return self.locked_until is not None and self.locked_until > at

    def after_one_more(self, at: datetime, *, allowed: int) -> "Tries":
        """With one attempt more, which counts as failed until it succeeds: a minute, doubling to an hour."""
        fresh = self.failed_at is None or at - self.failed_at >= FORGOTTEN_AFTER
        failures = 1 if fresh else self.failures + 1
        locked_until = None
        if failures >= allowed:
            doublings = min(failures - allowed, 16)
            locked_until = at + min(FIRST_LOCK * 2**doublings, LONGEST_LOCK)
        return Tries(failures, at, locked_until)

    def with_one_less(self) -> "Tries":
        """When an attempt that was counted has succeeded. It opens the lock, which it may have made itself.

        Where one failure more would lock, the attempt has locked out all others while it lasted: what is
        opened here was not made by them.
        """
        return replace(self, failures=max(0, self.failures - 1), locked_until=None)


def source(address: str | None) -> str | None:
    """What failures of an address are counted under: itself; of IPv6 the network, of which a host has many.

    None: there is no address (a Unix socket, whose other side forwards none), so nothing is counted by it.
    """
    if address is None:
        return None
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


class Quota(StrEnum):
    """Who asks for codes, or gets them."""

    USER = "user"
    DESTINATION = "destination"
    ADDRESS = "address"


_WINDOWS: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
_ALLOWED: Final = {Quota.USER: (1, 5, 10), Quota.DESTINATION: (1, 5, 10), Quota.ADDRESS: (10, 60, 200)}
"""Codes per minute, hour and day."""


def within_day(asked_at: Sequence[datetime], at: datetime) -> list[datetime]:
    """What still counts."""
    return [one for one in asked_at if one > at - _WINDOWS[-1]]


def wait_for(quota: Quota, asked_at: Sequence[datetime], at: datetime) -> timedelta:
    """For how long nothing more is sent; zero: it may be sent now."""
    waits = [timedelta()]
    for window, allowed in zip(_WINDOWS, _ALLOWED[quota], strict=True):
        inside = sorted(one for one in asked_at if one > at - window)
        if len(inside) >= allowed:
            waits.append(inside[-allowed] + window - at)
    return max(waits)


DEMANDING: Final = ("*:write", "*:erase", "*:export")
"""Who holds one of these in a whole tenant needs a second factor, unless the tenant says otherwise
(setting `access.mfa_required_permissions`). `*` stands for any area."""

MFA_SETTING: Final = "access.mfa_required_permissions"


def demands_second_factor(held: Collection[str], patterns: Collection[str]) -> bool:
    """Whether somebody with these permissions in a whole tenant needs a second factor."""
    wanted = {one for one in PERMISSIONS for pattern in patterns if _fits(one, pattern)}
    return any(covers(held, one) for one in wanted)


def _fits(permission: str, pattern: str) -> bool:
    area, _, verb = permission.partition(":")
    wanted_area, _, wanted_verb = pattern.partition(":")
    return wanted_area in ("*", area) and wanted_verb in ("*", verb)
