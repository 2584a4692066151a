"""Parameters and bodies that nobody asked for."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel

from florin.kernel.errors import InvalidRequest
from florin.kernel.http.strict import refuse_unasked


class Body(BaseModel):
    a: int


def _shared(inner: int = 1) -> int:
    return inner


router = APIRouter()


@router.get("/things/{thing}")
async def reads(
    thing: str, shared: Annotated[int, Depends(_shared)], since: Annotated[str, Query(alias="from")] = ""
) -> str:
    return f"{thing}{shared}{since}"


@router.post("/things")
async def writes(body: Body) -> int:
    return body.a


@router.post("/things/{thing}/end")
async def ends(thing: str) -> str:
    return thing


@router.get("/found")
async def finds(
    also: Annotated[list[str], Query()], noted: Annotated[list[str] | None, Query()] = None
) -> int:
    return len(noted or ()) + len(also)


READS, WRITES, ENDS, FINDS = (route for route in router.routes if isinstance(route, APIRoute))


def passes(route: APIRoute, query: bytes) -> bool:
    try:
        refuse_unasked(route, query, b"")
    except InvalidRequest:
        return False
    return True


def test_parameters_that_the_route_reads_pass() -> None:
    assert passes(READS, b"from=a&inner=2")
    assert passes(READS, b"")
    assert not passes(READS, b"form=a&inner=2")


def test_a_parameter_that_takes_several_may_stand_several_times() -> None:
    assert passes(FINDS, b"noted=a&noted=b&also=c&also=d")
    assert not passes(READS, b"from=a&from=b")


@pytest.mark.parametrize(
    ("query", "param", "rule"),
    [
        (b"since=a", "since", "extra_forbidden"),
        (b"thing=a", "thing", "extra_forbidden"),
        (b"from=a&from=b", "from", "given_twice"),
        (b"from=a&%00=b", "\0", "extra_forbidden"),
    ],
)
def test_other_parameters_are_refused_by_name(query: bytes, param: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        refuse_unasked(READS, query, b"")
    assert (refused.value.param, refused.value.extra["errors"][0]["rule"]) == (param, rule)


def test_a_body_is_refused_where_none_is_read_and_an_empty_object_is_none() -> None:
    refuse_unasked(WRITES, b"", b'{"a": 1}')
    refuse_unasked(ENDS, b"", b" {} ")
    with pytest.raises(InvalidRequest) as refused:
        refuse_unasked(ENDS, b"", b'{"a": 1}')
    assert refused.value.param == "body"
