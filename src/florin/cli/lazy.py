"""Commands that are imported when they are used: nobody waits for what he did not ask for."""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

GROUPS: Final = {
    "audit": "florin.cli.audit",
    "keys": "florin.cli.keys",
    "ledger": "florin.cli.ledger",
    "passwords": "florin.cli.passwords",
    "platform": "florin.cli.platform_tenant",
    "replay": "florin.cli.replay",
    "retention": "florin.cli.retention",
    "secrets": "florin.cli.secrets",
    "roles": "florin.cli.roles",
    "tenants": "florin.cli.tenants",
    "tokens": "florin.cli.tokens",
    "users": "florin.cli.users",
}
"""Groups of commands by name: modules that have an `app`."""


class LazyGroup(TyperGroup):
    """A group that knows its sub-groups by name only."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names; what is shown of each is read from its module."""
        return [*super().list_commands(ctx), *GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported now if it is one of the groups."""
        if cmd_name in GROUPS and cmd_name not in self.commands:
            self.add_command(load(cmd_name))
        return super().get_command(ctx, cmd_name)


def load(name: str) -> Any:
    """A group of commands, imported."""
    module: Any = import_module(GROUPS[name])
    command = typer.main.get_command(module.app)
    command.name = name
    return command
