"""The codes of problems, and the page that lists them."""

from pathlib import Path

import florin.app.asgi  # noqa: F401 - brings every room's refusals along
from florin.app.openapi.problem_codes import errors_page, refusals, title_of

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"


def test_the_page_lists_every_code_as_the_classes_have_it() -> None:
    # After a change: write errors_page() to docs/errors.md.
    assert PAGE.read_text() == errors_page()


def test_every_refusal_has_a_sentence_and_a_code_of_its_own() -> None:
    kinds = refusals()
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert title_of(kind).endswith(".")
        assert 400 <= kind.status < 600
