"""What recipes refuse."""

from florin.kernel.errors import Conflict, InvalidRequest, NotFound


class TemplateNotFound(NotFound):
    """There is no such template, or not in this version."""

    code = "template_not_found"


class TemplateBuiltIn(Conflict):
    """Templates with this name come with Florin and are not changed."""

    code = "template_built_in"


class TemplateInvalid(InvalidRequest):
    """The template contradicts itself."""

    code = "template_invalid"


class ParameterInvalid(InvalidRequest):
    """The template's parameters are not as it declares them."""

    code = "parameter_invalid"


class AccountOfAnotherKind(Conflict):
    """An account with this code exists, but its type or its currency is another."""

    code = "account_of_another_kind"
