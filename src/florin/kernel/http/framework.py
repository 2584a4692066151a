"""What FastAPI would answer in its own way, answered as problems."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from florin.kernel.errors import InternalError, MalformedRequest, MethodNotAllowed, NotFound, Refusal
from florin.kernel.http.problem import MEDIA_TYPE, from_validation, render


def install_problems(app: FastAPI) -> None:
    """Makes every error of the application an RFC 9457 problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)


def _problem(request: Request, refusal: Refusal) -> Response:
    return Response(
        render(refusal, request.scope.get("florin.request_id", "")),
        status_code=refusal.status,
        media_type=MEDIA_TYPE,
        headers=refusal.headers,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _problem(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _problem(request, from_validation(error.errors(), drop=1))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal: Refusal
    match error.status_code:
        case 400:
            refusal = MalformedRequest("the body is not JSON")  # the only 400 that FastAPI raises itself
        case 404:
            refusal = NotFound(f"nothing is at {request.url.path}")
        case 405:
            refusal = MethodNotAllowed(headers={"allow": ", ".join(_methods(request))})
        case _:
            refusal = Refusal(error.detail, headers=error.headers)
    return _problem(request, refusal)


def _methods(request: Request) -> list[str]:
    """What the path knows: each method has a route of its own, the framework names only the first one's."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def _failed(request: Request, _: Exception) -> Response:
    return _problem(request, InternalError())  # the gate logs it
