"""The OpenAPI 3.1 document: what FastAPI derives, with names, errors, headers and examples as they are."""

from florin.app.openapi.document import install_openapi

__all__ = ["install_openapi"]
