"""What privacy has open."""

from dataclasses import dataclass

from florin.kernel.db import Database
from florin.kernel.notify import Notifier
from florin.kernel.settings import Settings
from florin.kernel.vault import Vault
from florin.tenancy.service import Tenancy


@dataclass(frozen=True, slots=True)
class Privacy:
    """The room."""

    tenancy: Tenancy
    settings: Settings

    @property
    def database(self) -> Database:
        """Where everything stands."""
        return self.tenancy.database

    @property
    def vault(self) -> Vault:
        """People's keys."""
        return self.tenancy.vault

    @property
    def notifier(self) -> Notifier:
        """Tells other processes who may call no more."""
        return self.tenancy.notifier
