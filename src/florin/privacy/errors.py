"""Refusals of privacy.

LegalHoldNotFound                                            404
UnderLegalHold, MustBeKept, AlreadyReleased, PersonErased               409
"""

from florin.kernel.errors import Conflict, NotFound


class LegalHoldNotFound(NotFound):
    """There is no such legal hold here."""

    code = "legal_hold_not_found"


class UnderLegalHold(Conflict):
    """A legal hold stands on this person: release it first."""

    code = "under_legal_hold"


class MustBeKept(Conflict):
    """The tenant's rules demand that this person's data are kept for longer."""

    code = "must_be_kept"


class AlreadyReleased(Conflict):
    """This legal hold was released before."""

    code = "legal_hold_released"


class PersonErased(Conflict):
    """This person is erased: there is nothing left to hold."""

    code = "person_erased"
