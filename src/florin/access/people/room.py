"""What this room has open."""

from dataclasses import dataclass

from florin.kernel.db import Database
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy.model import CALLERS_CHANGED


@dataclass(frozen=True, slots=True)
class People:
    """The database, and the keys of what is personal."""

    database: Database
    vault: Vault
    notifier: Notifier

    def changed(self, tenant_id: int) -> None:
        """Tells every process to look up anew who may do what. After the commit."""
        self.notifier.say(CALLERS_CHANGED, str(tenant_id))
