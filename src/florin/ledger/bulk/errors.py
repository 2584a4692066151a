"""What is refused of a file as a whole. What is refused of a row is a RowError with a code of its own."""

from florin.kernel.errors import Conflict, InvalidRequest, NotFound


class FileUnreadable(InvalidRequest):
    """The file cannot be read as what it claims to be."""

    code = "file_unreadable"


class ColumnMissing(InvalidRequest):
    """The file lacks a column that it must have."""

    code = "column_missing"


class ColumnUnknown(InvalidRequest):
    """The file has a column that means nothing here."""

    code = "column_unknown"


class ParquetUnsupported(InvalidRequest):
    """Parquet needs the library pyarrow: install florin[parquet]."""

    code = "parquet_unsupported"


class ImportNotFound(NotFound):
    """There is no such import."""

    code = "import_not_found"


class ImportInProgress(Conflict):
    """Another process is importing this file right now."""

    code = "import_in_progress"
