"""What is refused of monitors."""

from florin.kernel.errors import Conflict, NotFound


class MonitorNotFound(NotFound):
    """There is no such monitor."""

    code = "monitor_not_found"


class TooManyMonitors(Conflict):
    """The account has as many active monitors as are allowed."""

    code = "too_many_monitors"
