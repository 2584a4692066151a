"""Logs: one event a line, structured, and nothing in them that opens a door."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from florin.kernel.pan import mask_card_numbers

_SECRET_NAMES = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api_?key|idempotency|signature|body|vpa|pan$|cvv|otp",
    re.IGNORECASE,
)
_SECRET_VALUES = re.compile(
    r"fl_(?:test|live)_[0-9a-z]+_[A-Za-z0-9_-]+|whsec_[A-Za-z0-9+/=]+|postgres(?:ql)?://[^@\s]+@"
    r"|(?<=password=)[^\s&]+|\btok_[A-Za-z0-9_-]+"
    r"|(?<=\nDETAIL:).*"  # PostgreSQL repeats the row that it refuses
)


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Masks whatever is named like a secret, and what reads like one inside other text."""
    for name, value in event.items():
        if name != "event" and _SECRET_NAMES.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = mask_card_numbers(_SECRET_VALUES.sub("***", value))
    return event


def configure_logging(level: str = "info", style: str = "console") -> None:
    """Sets up logging for this process. `style` is "console" for people or "json" for machines."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        # The renderer's own tracebacks show local variables: headers, bodies, keys.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; theirs come out in the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
