"""What keeps a month from the archive."""

from florin.kernel.errors import Conflict, InvalidRequest


class MonthNotArchivable(InvalidRequest):
    """Only whole months before the previous one can be archived."""

    code = "month_not_archivable"


class ArchiveBusy(Conflict):
    """The tables are too busy to move a month now. Nothing was moved; it is tried again tomorrow."""

    code = "archive_busy"
