"""Entries of the audit log as a table."""

from collections.abc import Iterable

from rich.table import Table

from florin.audit.model import AuditEntry
from florin.audit.service import shown_id
from florin.kernel.clock import rfc3339


def audit_table(entries: Iterable[AuditEntry]) -> Table:
    """The entries for people."""
    table = Table("No", "At", "Who", "What", "Changed", "Why", box=None)
    for entry in entries:
        table.add_row(
            str(entry.seq),
            rfc3339(entry.at)[:19],
            entry.actor,
            f"{entry.action} {entry.entity_type} {shown_id(entry)}",
            " ".join(entry.changed) if entry.action == "changed" else "",
            entry.reason or "",
        )
    return table
