"""What the chart refuses."""

from florin.kernel.errors import Conflict, NotFound


class ChartNodeNotFound(NotFound):
    """The chart has no such node."""

    code = "chart_node_not_found"


class ChartNodeExists(Conflict):
    """The chart has a node with this code."""

    code = "chart_node_exists"


class ChartConflict(Conflict):
    """Another node, or an account, contradicts this."""

    code = "chart_conflict"


class ChartFull(Conflict):
    """The chart has as many nodes as it may have."""

    code = "chart_full"


class ChartTemplateNotFound(NotFound):
    """No chart of this name is shipped."""

    code = "chart_template_not_found"
