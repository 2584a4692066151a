"""How the document tells of headers that the gate reads."""

from typing import Any, Final

from florin.kernel.idempotency import MAX_KEY_LENGTH

IDEMPOTENCY: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Your name for this request. Sent again with the same body it gets the same "
            "answer, marked by the header Idempotent-Replayed, and nothing is done twice.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_KEY_LENGTH,
                "pattern": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
            },
            "example": "order-6735",
        }
    ]
}
"""`openapi_extra` of every route that calls `call.idempotency()`."""
