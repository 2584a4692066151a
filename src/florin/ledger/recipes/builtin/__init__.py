"""The recipes that come with Florin: the posting table of the design, a file per row."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

import orjson

from florin.ledger.recipes.compiling import Recipe, recipe_of
from florin.ledger.recipes.document import RecipeBody
from florin.ledger.recipes.model import Template


@cache
def built_in_templates() -> Mapping[str, Template]:
    """All of them, by name and in the order of their names."""
    files = sorted(
        (one for one in resources.files(__package__).iterdir() if one.name.endswith(".json")),
        key=lambda one: one.name,
    )
    return {
        name: Template(name, 1, RecipeBody.model_validate_json(one.read_bytes()).document(), None)
        for one in files
        for name in [one.name.removesuffix(".json")]
    }


def built_in(name: str) -> Recipe:
    """One of them, compiled. Raises KeyError."""
    return recipe_of(orjson.dumps(built_in_templates()[name].document), ours=True)
