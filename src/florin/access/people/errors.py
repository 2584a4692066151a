"""Refusals about users, roles and assignments.

UserNotFound, RoleNotFound, AssignmentNotFound               404
UserExists, RoleCodeTaken, RoleInUse, RoleBuiltIn,
AssignmentExists, UserStateConflict, LastAdministrator       409
UnknownPermission, NothingToSignInWith                       422
BeyondOwnPermissions, OwnAssignments                         403
"""

from florin.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class UserNotFound(NotFound):
    """There is no such user here."""

    code = "user_not_found"


class RoleNotFound(NotFound):
    """There is no such role here."""

    code = "role_not_found"


class AssignmentNotFound(NotFound):
    """There is no such assignment here."""

    code = "assignment_not_found"


class UserExists(Conflict):
    """Another user has this name, address or number."""

    code = "user_exists"


class RoleCodeTaken(Conflict):
    """Another role has this code."""

    code = "role_code_taken"


class RoleInUse(Conflict):
    """Somebody has this role: end the assignments first."""

    code = "role_in_use"


class RoleBuiltIn(Conflict):
    """A built-in role cannot be changed: make one of your own."""

    code = "role_built_in"


class AssignmentExists(Conflict):
    """The user has this role there already."""

    code = "assignment_exists"


class UserStateConflict(Conflict):
    """The user's state does not allow this."""

    code = "user_state"


class LastAdministrator(Conflict):
    """This would leave the tenant without an administrator: assign another first."""

    code = "last_administrator"


class UnknownPermission(InvalidRequest):
    """There is no such permission."""

    code = "unknown_permission"


class NothingToSignInWith(InvalidRequest):
    """A user has at least one of user name, e-mail address and telephone number."""

    code = "nothing_to_sign_in_with"


class BeyondOwnPermissions(Forbidden):
    """Nobody gives, or takes from somebody, what he may not do himself."""

    code = "beyond_own_permissions"


class OwnAssignments(Forbidden):
    """Nobody assigns roles to himself."""

    code = "own_assignments"
