"""Lean routes: the hot endpoints, without the framework's machinery around each call.

A lean endpoint takes `call`, at most one `body` (a pydantic model) and TypeIDs from its path, and
returns plain data for orjson. FastAPI still reads its signature for the OpenAPI document; a request
goes from the gate straight to `answer`. Measured on two cores: 32 us a request against 127 us.
"""

from collections.abc import Awaitable, Callable, Coroutine
from inspect import signature
from typing import Any, get_args

import orjson
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from florin.kernel.http.call import CALL, Call, Permission
from florin.kernel.http.problem import from_pydantic
from florin.kernel.http.strict import refuse_unknown_parameters

Endpoint = Callable[..., Awaitable[Any]]


class LeanRoute(APIRoute):
    """An APIRoute whose endpoint is called directly. Use as `APIRouter(route_class=LeanRoute)`."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._endpoint = endpoint
        self._status = self.status_code or 200
        self._body: type[BaseModel] | None = None
        self._path_ids: dict[str, TypeAdapter[Any]] = {}
        for name, parameter in signature(endpoint, eval_str=True).parameters.items():
            annotation = parameter.annotation
            if name == "body":
                self._body = annotation
            elif name == "call":
                self.permission: Permission = get_args(annotation)[1].dependency.permission
            else:
                self._path_ids[name] = TypeAdapter(annotation)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The way through the framework, for a path with parameters: the same answer."""

        async def handler(request: Request) -> Response:
            refuse_unknown_parameters(request.scope["query_string"], ())
            status, body = await self.answer(request.scope[CALL], request.path_params)
            return Response(body, status, media_type="application/json")

        return handler

    async def serve(self, scope: Scope, send: Send) -> None:
        """The short way, straight from the gate, which has read the body into the call."""
        refuse_unknown_parameters(scope["query_string"], ())
        status, body = await self.answer(scope[CALL], {})
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def answer(self, call: Call, path_params: dict[str, str]) -> tuple[int, bytes]:
        """Status and JSON. Raises a Refusal for whatever the request gets wrong."""
        call.require(self.permission)
        call.operation = f"{call.method} {self.path_format}"
        arguments: dict[str, Any] = {"call": call}
        for name, adapter in self._path_ids.items():
            try:
                arguments[name] = adapter.validate_python(path_params[name])
            except ValidationError as error:
                raise from_pydantic(error, name) from None
        try:
            if self._body is not None:
                arguments["body"] = self._body.model_validate_json(call.body)
        except ValidationError as error:
            raise from_pydantic(error) from None
        return self._status, orjson.dumps(await self._endpoint(**arguments))
