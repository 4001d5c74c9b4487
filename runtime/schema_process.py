"""The process that evaluates JSON Schemas of users; `runtime.schema_evaluation` starts it.

It reads one request per line, `{"schema", "value"?}`, and writes one answer per line:
`{"problems": [[path, message]], "is_usable": bool, "seconds": processor time}`. Patterns are
matched in linear time. What remains, such as references that multiply, is ended by the kernel.
"""

import json
import resource
import signal
import sys
import time
from itertools import islice
from typing import Any, NoReturn

import jsonschema_rs

from domain.json_schemas import EVALUATOR_READY, MAX_EVALUATION_SECONDS, TOO_EXPENSIVE

_SHOWN = 20
"""Maximum number of reported problems per value (chosen)."""

_MESSAGE_CHARACTERS = 500
_MEMORY_BYTES = 512 * 1024 * 1024
"""Address space; the largest real evaluation needs a tenth (chosen)."""

_PATTERN_BYTES = 1024 * 1024
"""Memory of one compiled pattern (chosen; the library's default is 10 MiB)."""

_NO_REGEX = 'is not a "regex"'
_PATTERN_HINT = (
    "is not a regular expression that can be used. Perdure matches patterns in linear time, so "
    r"look-around, (?=…) and (?!…), back references, \1, and very large repetitions are not "
    "possible; rewrite the pattern without them."
)


def main() -> None:
    """Answer requests until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.buffer.write(EVALUATOR_READY)
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        # Its signal ends the process: no handler would run in the middle of an evaluation.
        signal.setitimer(signal.ITIMER_PROF, MAX_EVALUATION_SECONDS)
        began = time.process_time()
        problems, is_usable = _answer(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer = {
            "problems": problems,
            "is_usable": is_usable,
            "seconds": time.process_time() - began,
        }
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _answer(request: dict[str, Any]) -> tuple[list[tuple[list[str | int], str]], bool]:
    try:
        validator = jsonschema_rs.Draft202012Validator(
            request["schema"],
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
            retriever=_refuse,
        )
        if "value" not in request:
            return [], True
        errors = islice(validator.iter_errors(request["value"]), _SHOWN)
        return [(list(e.instance_path), _shorten(e.message)) for e in errors], True
    except jsonschema_rs.ValidationError as error:
        return [(list(error.instance_path), _explain(error.message))], False
    except MemoryError:
        return [([], TOO_EXPENSIVE)], False
    except Exception as error:  # noqa: BLE001 - the schema caused it
        return [([], _shorten(str(error)) or type(error).__name__)], False


def _explain(message: str) -> str:
    if message.endswith(_NO_REGEX):
        return f"{_shorten(message.removesuffix(_NO_REGEX))}{_PATTERN_HINT}"
    return _shorten(message)


def _shorten(message: str) -> str:
    """Keep the start and the end of a message: the value in it may be long."""
    if len(message) <= _MESSAGE_CHARACTERS:
        return message
    half = _MESSAGE_CHARACTERS // 2
    return f"{message[:half]} … {message[-half:]}"


def _refuse(uri: str) -> NoReturn:
    """Refuse a `$ref` to another document, instead of a request from our network."""
    raise ValueError(f"{uri} can't be read; copy it into the schema")


if __name__ == "__main__":
    main()
