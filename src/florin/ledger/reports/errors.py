"""What a report refuses."""

from florin.kernel.errors import InvalidRequest


class ScopeAmbiguous(InvalidRequest):
    """A report is about one account, or about those under a code; not both."""

    code = "scope_ambiguous"


class ReportTooLarge(InvalidRequest):
    """The report has more lines than this format takes; CSV and JSON have no limit."""

    code = "report_too_large"


class NothingToReport(InvalidRequest):
    """No account has a balance or an entry in this period, and this format has no empty message."""

    code = "nothing_to_report"
