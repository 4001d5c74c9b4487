"""Logging of a process: one line per event on stderr, JSON unless a person reads it."""

import logging
import logging.config
import sys
from typing import Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

# These tell every request or connection at `info`; our own events say what matters of it. At
# `debug` some tell bodies and rows too, which are prompts and secrets: they never get there.
CHATTY = (
    *("httpx2", "httpcore2", "aiohttp", "anthropic", "asyncio", "alembic", "sqlalchemy", "uvicorn"),
)


def set_up_logging(level: LogLevel, log_format: LogFormat = "auto") -> None:
    """Send everything, structlog's and the standard library's, through one formatter.

    `auto` is `console` on a terminal and `json` elsewhere. Bound context variables
    (`structlog.contextvars`) stand in every line: bind `execution_id` or `request_id` once.
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
                        *_rendering(for_people=for_people, colors=on_terminal),
                    ],
                    "foreign_pre_chain": _gathering(),
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
            "loggers": {name: {"level": _quieter(level)} for name in CHATTY},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_gathering(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _gathering() -> list[Processor]:
    """What every line knows: context, level, logger, time in UTC."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]


def _rendering(*, for_people: bool, colors: bool) -> list[Processor]:
    """Neither shows the local variables of a traceback, which hold prompts and secrets."""
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


def _quieter(level: LogLevel) -> str:
    return "INFO" if level == "debug" else "WARNING"
