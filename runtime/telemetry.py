"""Logging of a process: one line per event on stderr, as JSON unless stderr is a terminal."""

import logging
import logging.config
import sys
from typing import Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

VERBOSE_LOGGERS = (
    *("httpx2", "httpcore2", "aiohttp", "anthropic", "asyncio", "alembic", "sqlalchemy", "uvicorn"),
)
"""At `info` they log every request or connection, which our own events already describe. At `debug`
some also log bodies and rows, which are prompts and secrets, so they never run at that level."""


SILENT_LOGGERS = ("mcp.client", "mcp.shared", "client")
"""Loggers of the MCP SDK whose messages, also of errors, repeat what servers and tools send. Errors
of servers are reported by the calls."""


def set_up_logging(level: LogLevel, log_format: LogFormat = "auto") -> None:
    """Format the events of structlog and of the standard library in the same way.

    `auto` is `console` on a terminal and `json` elsewhere. Every line contains the bound context
    variables (`structlog.contextvars`): bind `execution_id` or `request_id` once.
    """
    on_terminal = sys.stderr.isatty()
    for_people = log_format == "console" or (log_format == "auto" and on_terminal)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *_renderers(for_people=for_people, colors=on_terminal),
                    ],
                    "foreign_pre_chain": _event_processors(),
                }
            },
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "stream": "ext://sys.stderr",
                }
            },
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {
                **{name: {"level": _limit_level(level)} for name in VERBOSE_LOGGERS},
                **{name: {"level": "CRITICAL"} for name in SILENT_LOGGERS},
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_event_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _event_processors() -> list[Processor]:
    """Return the processors that add context, level, logger and time (UTC) to every event."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(*, for_people: bool, colors: bool) -> list[Processor]:
    """Return the last processors. They show no local variables, which hold prompts and secrets."""
    if for_people:
        console = structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
        )
        return [console]
    tracebacks = ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(),
    ]


def _limit_level(level: LogLevel) -> str:
    return "INFO" if level == "debug" else "WARNING"
