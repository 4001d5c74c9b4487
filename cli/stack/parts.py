"""Our own processes as parts of the stack: worker, gateway, scripted model."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cli.stack.addresses import LOOPBACK, accepts, answers_ok
from cli.stack.process import Part
from runtime.readiness import is_announced

# Imports take 3 s on two free cores and several times that on a busy machine.
START_SECONDS = 90.0
# The gateway completes its current responses within 5 s.
GATEWAY_STOP_SECONDS = 10.0
# After its current steps a worker records those that it interrupted (5 s) and closes (chosen).
WORKER_MARGIN_SECONDS = 10.0
SCRIPTED_STOP_SECONDS = 5.0

SCRIPTED_KEY = "scripted-model"
_MODEL_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")

# Otherwise each thread may get a heap of its own, which is never given back, and Temporal's library
# has a thread for each core. That these threads wake one another takes 7 % of the CPU of a worker
# and a gateway (measured 2026-11-29), and one is enough for more calls than one process of Python
# can make. The Dockerfile sets both variables too.
FEW_THREADS: Mapping[str, str] = MappingProxyType(
    {"MALLOC_ARENA_MAX": "2", "TOKIO_WORKER_THREADS": "1"}
)

OWN_MODULE = (sys.executable, "-P", "-m")
"""Runs a module of ours. `-P`: without it Python would first look for `api` and `worker` in the
current directory, a user's project that may have such names."""


def own_module(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules."""
    return [*OWN_MODULE, module, *arguments]


def workers(processes: int, *options: str) -> list[str]:
    """The command line of this number of worker processes."""
    if processes == 1:
        return own_module("worker", *options)
    return own_module("cli.stack.worker_processes", str(processes), *options)


def worker(
    environment: Mapping[str, str],
    log: Path,
    ready: Path,
    drain_seconds: float,
    *,
    processes: int,
    is_scripted: bool,
) -> Part:
    """One worker process, or the process that starts several; it writes the file `ready`."""
    ready.parent.mkdir(exist_ok=True)

    async def is_ready(pid: int) -> bool:
        return is_announced(ready, pid)

    return Part(
        name="worker",
        command=workers(processes, *(["--scripted-model"] if is_scripted else [])),
        environment={**environment, "PERDURE_READY_FILE": str(ready)},
        is_ready=is_ready,
        log=log,
        start_seconds=START_SECONDS,
        stop_seconds=drain_seconds + WORKER_MARGIN_SECONDS,
    )


def gateway(environment: Mapping[str, str], log: Path, host: str, port: int) -> Part:
    """`python -m cli.gateway`, without the model's keys: it never calls a model."""

    async def is_ready(_: int) -> bool:
        return await answers_ok(host, port, "/health/live")

    return Part(
        name="api",
        command=own_module("cli.gateway"),
        environment=without_model_keys(environment),
        is_ready=is_ready,
        log=log,
        start_seconds=START_SECONDS,
        stop_seconds=GATEWAY_STOP_SECONDS,
    )


def without_model_keys(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment without the variables of the model's SDK."""
    return {k: v for k, v in environment.items() if not k.startswith("ANTHROPIC_")}


def find_model_variable(environment: Mapping[str, str]) -> str | None:
    """The variable that gives a worker access to a model, whose SDK reads it; None without one."""
    return next((name for name in _MODEL_VARIABLES if environment.get(name)), None)


def scripted_model(environment: Mapping[str, str], log: Path, port: int) -> Part:
    """A server that speaks the Messages API from a script, for demonstrations and tests."""

    async def is_ready(_: int) -> bool:
        return await accepts(LOOPBACK, port)

    return Part(
        name="scripted_model",
        command=own_module("claude.scripted", "--port", str(port)),
        environment=environment,
        is_ready=is_ready,
        log=log,
        start_seconds=START_SECONDS,
        stop_seconds=SCRIPTED_STOP_SECONDS,
    )


def inherit_environment() -> dict[str, str]:
    """This process's environment for our parts: the provider's variables, proxies, PERDURE_*.

    They may store bytecode: compiling our modules takes longer than the rest of a start.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
