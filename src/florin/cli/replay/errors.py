"""Why a replay stops before its end. Each message is one line for an operator.

ReplayError
├── BadInput       the file cannot be read as what it should be
├── KeyRefused     the API does not accept the key, or not for this
├── Unreachable    the API does not answer
├── UnknownAnswer  the API answers something that a Florin API does not
└── Interrupted    the operator pressed Ctrl-C
"""


class ReplayError(Exception):
    """The replay cannot go on."""


class BadInput(ReplayError):
    """The file cannot be read as what it should be."""


class KeyRefused(ReplayError):
    """The API does not accept the key, or not for this."""


class Unreachable(ReplayError):
    """The API does not answer."""


class UnknownAnswer(ReplayError):
    """The API answers something that a Florin API does not."""


class Interrupted(ReplayError):
    """The operator asked to stop."""
