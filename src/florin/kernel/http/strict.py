"""What a route did not ask for is refused: a misspelt filter, ignored, would answer with everything."""

from collections.abc import Collection
from typing import get_args, get_origin

from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from florin.kernel.errors import InvalidRequest


def refuse_unasked(route: APIRoute, query_string: bytes, body: bytes) -> None:
    """Raises InvalidRequest for a query parameter, or a body, that the route does not read.

    An empty object passes as no body: many clients send one with every POST.
    """
    if query_string:
        asked = {
            field.alias: _takes_several(field.field_info.annotation)
            for field in get_flat_params(route.dependant)
            if getattr(field.field_info, "in_", None) == ParamTypes.query
        }
        refuse_unknown_parameters(query_string, asked, repeatable={name for name in asked if asked[name]})
    if body and route.body_field is None and body.strip() != b"{}":
        raise _refused("body", "no_body", "this request takes no body")


def refuse_unknown_parameters(
    query_string: bytes, known: Collection[str], *, repeatable: Collection[str] = ()
) -> None:
    """Raises InvalidRequest for the first parameter that is not known, or stands twice where one is read."""
    if not query_string:
        return
    given = [name for name, _ in QueryParams(query_string).multi_items()]
    for name in given:
        if name not in known:
            raise _refused(name, "extra_forbidden", "there is no such query parameter here")
        if given.count(name) > 1 and name not in repeatable:
            raise _refused(name, "given_twice", "stands twice in the query")


def _takes_several(annotation: object) -> bool:
    return get_origin(annotation) is list or any(get_origin(one) is list for one in get_args(annotation))


def _refused(param: str, rule: str, detail: str) -> InvalidRequest:
    return InvalidRequest(
        f"{param}: {detail}", param=param, errors=[{"param": param, "rule": rule, "detail": detail}]
    )
