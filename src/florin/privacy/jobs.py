"""Background work of privacy."""

from florin.kernel.crypto import KeyRing
from florin.kernel.jobs import Job, Periodic, PerTenant, every
from florin.privacy.reencryption.service import reencrypt
from florin.privacy.retention.service import drop_old_events, run
from florin.privacy.room import Privacy
from florin.tenancy.customers.service import seal_customers


def privacy_jobs(privacy: Privacy, ring: KeyRing) -> list[Job]:
    """What is in plain is sealed, what old keys have sealed is sealed anew, what is old enough goes."""
    database, tenancy = privacy.database, privacy.tenancy
    return [
        PerTenant("privacy.seal_customers", every(3600), lambda one: seal_customers(tenancy, one)),
        PerTenant("privacy.reencrypt", every(3600), lambda one: reencrypt(database, ring, one)),
        Periodic("privacy.reencrypt_platform", every(3600), lambda: reencrypt(database, ring, None)),
        PerTenant("privacy.retention", "30 2 * * *", lambda one: run(privacy, one)),
        Periodic("privacy.events", "50 2 * * *", lambda: drop_old_events(database)),
    ]
