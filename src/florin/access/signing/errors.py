"""Refusals of signing keys.

SigningKeyNotFound        404
SigningKeyEnded           409
"""

from florin.kernel.errors import Conflict, NotFound


class SigningKeyNotFound(NotFound):
    """There is no signing key of this id."""

    code = "signing_key_not_found"


class SigningKeyEnded(Conflict):
    """The signing key is over or revoked already."""

    code = "signing_key_ended"
