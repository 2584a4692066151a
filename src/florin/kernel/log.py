"""Logs: one event a line, structured, and nothing in them that opens a door."""

import logging
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import structlog

from florin.kernel.redaction import redact_field, redact_value


class _Tee:
    """Writes to several streams."""

    def __init__(self, streams: Sequence[TextIO]) -> None:
        self._streams = streams

    def write(self, text: str) -> None:
        for stream in self._streams:
            stream.write(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Masks whatever is named like a secret, and what reads like one inside other text."""
    for name, value in event.items():
        if not name.startswith("_"):  # structlog's own
            event[name] = redact_value(value) if name == "event" else redact_field(name, value)
    return event


def configure_logging(level: str = "info", style: str = "console", *, file: Path | None = None) -> None:
    """Sets up logging for this process. `style` is "console" for people or "json" for machines.

    `file`: where it also goes, appended, in the same form; made with mode 600.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    stream: Any = sys.stderr if file is None else _Tee((sys.stderr, _opened(file)))
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
            colors=file is None and sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; theirs come out in the same form.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return file.open("a", buffering=1)
