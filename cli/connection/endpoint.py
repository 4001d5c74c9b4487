"""The gateway that a command calls: from its options, the environment, a profile, or this home.

Reads its few variables without `runtime.settings`, whose libraries take longer to load than most
commands run; `perdure config` shows them with all others.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from cli.exits import CommandError, Exit
from cli.stack.home import Home, write_secret


class UnreachableError(CommandError):
    """The gateway does not answer; the message says what to do."""

    exit = Exit.UNREACHABLE

    def __init__(self, message: str, *, was_sent: bool = False) -> None:
        """`was_sent`: the request may have reached the gateway, which may have carried it out."""
        self.was_sent = was_sent
        super().__init__(message)


class ProfileError(CommandError):
    """There is no such profile, or the file of profiles can't be read."""


class Endpoint(NamedTuple):
    """The address of a gateway, and the token to show it."""

    api_url: str
    token: str


@dataclass(frozen=True, slots=True)
class Profiles:
    """The gateways that a user has named, and the one that is in use."""

    path: Path
    current: str | None
    endpoints: Mapping[str, Endpoint]

    @classmethod
    def read(cls) -> Self:
        """The profiles of this user; there are none without a file.

        Raises:
            ProfileError: the file can't be read.
        """
        directory = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        path = Path(directory) / "perdure" / "profiles.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            endpoints = {name: Endpoint(**fields) for name, fields in stored["profiles"].items()}
            return cls(path, stored["current"], endpoints)
        except FileNotFoundError:
            return cls(path, None, {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ProfileError(
                f"{path} can't be read ({error}). Delete it and add your profiles again."
            ) from error

    def write(self, endpoints: Mapping[str, Endpoint], current: str | None) -> None:
        """Replace the profiles, in a file that only its owner may read."""
        profiles = {name: endpoint._asdict() for name, endpoint in endpoints.items()}
        content = {"current": current, "profiles": profiles}
        write_secret(self.path, json.dumps(content, indent=2) + "\n")

    def get(self, name: str) -> Endpoint:
        """The endpoint of a profile.

        Raises:
            ProfileError: there is none with this name.
        """
        if name not in self.endpoints:
            known = ", ".join(self.endpoints) or "none yet"
            raise ProfileError(
                f"There is no profile {name!r} ({known}). `perdure profile add` adds one."
            )
        return self.endpoints[name]


@dataclass(frozen=True, slots=True)
class Given:
    """The options of `perdure` itself."""

    api_url: str | None = None
    token: str | None = None
    profile: str | None = None

    def find_endpoint(self) -> Endpoint:
        """The gateway to call.

        Options come before variables, these before a profile in use, and a profile before the stack
        that runs on this home. A token is never sent to the address of another source, except
        PERDURE_TOKEN to the stack on this home.

        Raises:
            UnreachableError: no gateway is known, or no token for it.
            ProfileError: there is no such profile, or PERDURE_TOKEN is set, but not its gateway.
            CommandError: the address is no URL.
        """
        variables = {} if self.profile else os.environ
        # An empty variable is none: else the token of a profile would be sent to any address.
        url = self.api_url or variables.get("PERDURE_API_URL") or None
        if url and not url.startswith(("http://", "https://")):
            raise CommandError(f"The address of a gateway begins with http:// or https://: {url}.")
        variable = variables.get("PERDURE_TOKEN") or None
        token = self.token or variable
        if url and token:
            return Endpoint(url.rstrip("/"), token)
        source, name = self._find_source()
        if source is None and url is None:
            raise UnreachableError(
                f"No Perdure runs on {home().path}. Start one with `perdure up`, add one elsewhere "
                "with `perdure profile add`, or set PERDURE_API_URL and PERDURE_TOKEN."
            )
        known = source.api_url.rstrip("/") if source else ""
        url = (url or known).rstrip("/")
        if token is None and source and known == url:
            return Endpoint(url, source.token)
        if token is None:
            other = f" ({name} has a token for {known})" if source else ""
            raise UnreachableError(f"Set PERDURE_TOKEN to a token for {url}{other}.")
        if token == variable and name.startswith(PROFILE):
            raise ProfileError(
                f"PERDURE_TOKEN may be for another gateway than {url}, and {name} has a token: "
                "unset PERDURE_TOKEN, or set PERDURE_API_URL to its gateway."
            )
        return Endpoint(url, token)

    def _find_source(self) -> tuple[Endpoint | None, str]:
        """The endpoint of the profile or of this home, and what it is called."""
        chosen = self.profile or os.environ.get("PERDURE_PROFILE")
        profiles = Profiles.read()
        chosen = chosen or profiles.current
        if chosen and chosen != LOCAL:
            return profiles.get(chosen), f"{PROFILE} {chosen}"
        facts = home().read_ready()
        found = None if facts is None else Endpoint(facts["api_url"], facts["token"])
        return found, str(home().path)


PROFILE = "the profile"
LOCAL = "local"
"""The name of the stack that runs on this home, which needs no profile."""


def home() -> Home:
    """The home of this directory, or that of PERDURE_HOME."""
    return Home(Path(os.environ.get("PERDURE_HOME") or ".perdure").absolute())


OWN_VARIABLES = frozenset(f"PERDURE_{name}" for name in ("API_URL", "TOKEN", "PROFILE", "HOME"))
"""The variables that this module reads."""


def warn_of_unknown_variables() -> None:
    """Print each `PERDURE_*` variable that is no setting, with the one that is probably meant."""
    given = [name for name in os.environ if name.startswith("PERDURE_")]
    if set(given) <= OWN_VARIABLES:
        return  # without loading the settings
    from difflib import get_close_matches

    from runtime.settings import Settings

    known = {f"PERDURE_{field.upper()}" for field in Settings.model_fields} | OWN_VARIABLES
    for name in sorted(set(given) - known):
        alike = get_close_matches(name, known, 1)
        hint = f"did you mean {alike[0]}?" if alike else "`perdure config` shows all."
        print(f"perdure: {name} is not a setting; {hint}", file=sys.stderr)  # noqa: T201
