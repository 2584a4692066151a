"""What the audit log refuses."""

from florin.kernel.errors import NotFound


class AuditEntryNotFound(NotFound):
    """There is no such entry in the audit log."""

    code = "audit_entry_not_found"
