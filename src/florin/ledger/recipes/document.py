"""A recipe as it is written: a JSON document."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from florin.ledger.model import AccountType

_NO_NUL = r"^[^\x00]*$"

TemplateName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100),
    Field(examples=["payment.captured"]),
]
ParameterName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$", max_length=40)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL)]
_Expression = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL),
    Field(description="Minor units: whole numbers, parameters, + - ( ), and * by a percentage."),
]
_MAX_TEXT: Final = 255


def _plain(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a text or a whole number")  # noqa: TRY004 - what pydantic hears
    if isinstance(value, str) and (len(value) > _MAX_TEXT or "\0" in value):
        raise ValueError(f"must be a text of at most {_MAX_TEXT} characters")
    return value


Value = Annotated[
    Any,
    BeforeValidator(_plain),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": _MAX_TEXT}, {"type": "integer"}]}),
]


Default = Annotated[
    Any,
    BeforeValidator(lambda value: None if value is None else _plain(value)),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": _MAX_TEXT}, {"type": "integer"}, {"type": "null"}]}
    ),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ParameterSpec(_Part):
    """What a posting by this recipe has to give."""

    type: Literal["money", "integer", "percent", "currency", "text", "account"] = Field(
        description="money: minor units, from 1, or 0 where that is the default. integer: a whole number. "
        "percent: a decimal in quotes. currency: ISO 4217. text: letters, digits and ._/@+- where it "
        "stands in a code. account: an account's id."
    )
    default: Default = Field(None, description="Without one the parameter has to be given.")
    description: _Text | None = None


class CreateSpec(_Part):
    """How to make the account if there is none with this code."""

    type: AccountType
    name: _Text | None = Field(None, description="May hold parameters in braces. Default: the code.")
    currency: _Text = Field("{currency}", description="A code, or a parameter in braces.")


class RecipeLeg(_Part):
    """One account's part: a debit or a credit."""

    account: _Text = Field(
        description="A code with parameters in braces, or one parameter of type account.",
        examples=["provider:{provider}:receivable:{currency}", "{payer}"],
    )
    debit: _Expression | None = None
    credit: _Expression | None = None
    optional: bool = Field(False, strict=True, description="Leave the leg out where its amount is 0.")
    create: CreateSpec | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.debit is None) == (self.credit is None):
            raise ValueError("give either debit or credit")
        return self


class RecipeBody(_Part):
    """A recipe: what it needs to know, and the legs that it makes of it."""

    description: _Text | None = Field(None, description="May hold parameters in braces.")
    parameters: dict[ParameterName, ParameterSpec] = Field(max_length=30)
    legs: list[RecipeLeg] = Field(min_length=2, max_length=100)
    hold: bool = Field(False, strict=True, description="Reserve the amounts instead of moving them.")

    def document(self) -> dict[str, Any]:
        """The one way to write this recipe: two bodies that say the same are the same."""
        return self.model_dump(mode="json", exclude_defaults=True)
