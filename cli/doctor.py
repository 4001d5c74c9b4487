"""`perdure doctor`: checks the requirements of Perdure on this machine."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from cli.stack import parts, postgres, temporal
from cli.stack.addresses import LOOPBACK, describe_listener, is_free
from cli.stack.assembly import Ports
from cli.stack.home import Home
from cli.stack.process import PartFailedError
from domain.health import ComponentState
from domain.model.lifecycles import ModelLifecycle, describe_retirement
from domain.web.network import NetworkList
from runtime.settings import Settings

NO_WORKER = (
    "No worker has announced itself for more than 5 s, so executions wait. `perdure logs worker` "
    "shows what it wrote last; if it hangs, kill its process, and `perdure up` starts it again."
)
"""What to do if the gateway reports that the workers are unavailable."""

PROBE_SECONDS = 10  # a version or an empty sandbox takes milliseconds
# The servers' first files take 100 MB; histories and workspaces grow from there (chosen).
DISK_NEEDED_BYTES = 2 * 1024**3


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    HINT = "hint"
    MISSING = "missing"
    PROBLEM = "problem"
    """It is there, but cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `fix` describes what to do."""

    name: str
    state: State
    what: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Check all requirements, the basic ones first."""
    yield _python()
    yield _program(
        "postgres", "PERDURE_DATABASE_URL", lambda: str(postgres.binaries() / "postgres")
    )
    yield _program("temporal", "PERDURE_TEMPORAL_ADDRESS", temporal.binary)
    yield _sandbox(settings)
    yield _network(settings)
    home = Home(settings.home.absolute())
    yield _stack_model(home) or model()
    yield from _model_lifecycle(settings)
    yield _disk(settings)
    if home.path.exists() and home.is_held():
        yield _running_stack(home)
    else:
        yield Finding("stack", State.OK, f"none runs on {home.path}")
        yield from _ports(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", State.OK, f"{version} at {sys.executable}")


def _program(name: str, instead: str, find: Callable[[], str]) -> Finding:
    fix = f"Run `make setup`, or set {instead} to use your own server."
    try:
        path = find()
        version = _output([path, "--version"])
    except (PartFailedError, OSError, subprocess.SubprocessError) as error:
        return Finding(name, State.MISSING, str(error), fix)
    return Finding(name, State.OK, version)


def _sandbox(settings: Settings) -> Finding:
    if settings.sandbox == "none":
        return Finding(
            "sandbox",
            State.HINT,
            "disabled by PERDURE_SANDBOX=none: tools can access this machine like your user",
            "Unset PERDURE_SANDBOX to enable the sandbox.",
        )
    if problem := _probe_sandbox(settings):
        return Finding(
            "sandbox",
            State.MISSING,
            f"tools will be refused: {problem}",
            "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1; on "
            "Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0; in a container the "
            "security_opt of the worker in docker-compose.yml), or accept unprotected tools with "
            "PERDURE_SANDBOX=none.",
        )
    return Finding("sandbox", State.OK, "bubblewrap can create namespaces")


def _probe_sandbox(settings: Settings) -> str | None:
    """The reason why tool commands cannot run, or None; uses the same test as the worker."""
    with tempfile.TemporaryDirectory(prefix="perdure-doctor-") as name:
        place = Path(name)
        place.chmod(0o711)  # the user of the commands must be able to enter
        return asyncio.run(_probe(settings, place / "workspaces"))


async def _probe(settings: Settings, workspaces: Path) -> str | None:
    # `perdure up`, which stays small, imports this module.
    from runtime.egress.client import EgressProxy
    from tools.toolbox import Toolbox

    proxy = EgressProxy(NetworkList.parse(settings.network_allow), ())
    toolbox = Toolbox(
        workspaces,
        host_id="doctor",
        sandbox=settings.sandbox,
        network=proxy if settings.network_allow else None,
    )
    problem = await toolbox.probe()
    await proxy.close()
    return problem


def _network(settings: Settings) -> Finding:
    """What tools may connect to; the check of the sandbox has opened its proxy."""
    if not settings.network_allow:
        return Finding("network", State.OK, "tools have none (PERDURE_NETWORK_ALLOW is not set)")
    if settings.sandbox == "none":
        return Finding(
            "network",
            State.HINT,
            "without a sandbox, PERDURE_NETWORK_ALLOW does not limit commands",
            "Unset PERDURE_SANDBOX to enable the sandbox.",
        )
    shown = ", ".join(settings.network_allow)
    return Finding("network", State.OK, f"tasks may let tools connect to {shown}")


def _stack_model(home: Home) -> Finding | None:
    """The model of the stack on this home, whose environment can differ; None if none runs."""
    facts = home.read_ready()
    if facts is None:
        return None
    if "scripted_model" in facts["pids"]:
        return Finding("model", State.OK, "the stack on this home uses the scripted model")
    if facts.get("has_model", True):
        return Finding("model", State.OK, "the stack on this home has access to a model")
    return model({})


def model(environment: Mapping[str, str] = os.environ) -> Finding:
    """Whether a model is configured; only checks that a variable is set."""
    if variable := parts.find_model_variable(environment):
        return Finding("model", State.OK, f"{variable} is set")
    return Finding(
        "model",
        State.HINT,
        "no key: executions will fail with model_not_configured",
        "Set ANTHROPIC_API_KEY, or use `perdure up --scripted-model` to try Perdure without a key.",
    )


def _model_lifecycle(settings: Settings) -> Iterator[Finding]:
    """The default model, if it is retired or soon will be."""
    from claude.adapter import ClaudeModel  # loads the SDK

    async def ask() -> Mapping[str, ModelLifecycle]:
        claude = ClaudeModel.create()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await claude.ready()
                return await claude.list_models() or {}
        except TimeoutError:
            return {}
        finally:
            await claude.close()

    has_model = model().state is State.OK
    known = asyncio.run(ask()) if has_model else {}
    warning = describe_retirement(settings.model, known, datetime.now(UTC))
    if warning is not None:
        yield Finding("default model", State.HINT, warning, "Set PERDURE_MODEL to another model.")


def _disk(settings: Settings) -> Finding:
    place = settings.home.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding(
            "home",
            State.PROBLEM,
            f"{place} is not writable",
            "Set PERDURE_HOME to a directory that you can write.",
        )
    free = shutil.disk_usage(place).free
    what = f"{free / 1024**3:.1f} GB free at {place}"
    if free < DISK_NEEDED_BYTES:
        return Finding(
            "home", State.PROBLEM, what, "Free disk space, or set PERDURE_HOME to another disk."
        )
    return Finding("home", State.OK, what)


def _running_stack(home: Home) -> Finding:
    import httpx2  # as above

    facts = home.read_ready()
    if facts is None:
        return Finding(
            "stack",
            State.HINT,
            "is starting or stopping",
            "Run `perdure doctor` again in a few seconds.",
        )
    fix = f"Read the logs in {home.logs}."
    try:
        answer = httpx2.get(f"{facts['api_url']}/health/ready", trust_env=False)
        states = answer.json()
        well = answer.is_success
        if states.get("workers") == ComponentState.UNAVAILABLE:
            well, fix = False, NO_WORKER
        what = ", ".join(f"{name} {state}" for name, state in states.items())
    except (httpx2.HTTPError, ValueError) as error:
        well, what = False, str(error)
    state = State.OK if well else State.PROBLEM
    return Finding("stack", state, f"{facts['api_url']}: {what}", fix)


def _ports(settings: Settings) -> Iterator[Finding]:
    ports = Ports(api=settings.api_port)
    wanted = [(settings.api_host, ports.api, "--api-port")]
    if settings.temporal_address is None:
        wanted += [
            (LOOPBACK, ports.temporal, "--temporal-port"),
            (LOOPBACK, ports.temporal_ui, "--temporal-ui-port"),
        ]
    for host, port, option in wanted:
        if port and not is_free(host, port):
            listener = describe_listener(port)
            yield Finding(
                f"port {port}",
                State.PROBLEM,
                f"in use by {listener}" if listener else "in use by another program",
                f"Stop that program, or use another port: perdure up {option} PORT.",
            )


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
    )
    if done.returncode:
        raise subprocess.SubprocessError((done.stderr or done.stdout).strip())
    return done.stdout.strip()
