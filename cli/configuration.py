"""The settings of a command: read once, with a readable complaint, and shown without secrets."""

from typing import Any

from pydantic import AnyUrl, SecretStr, ValidationError

from cli.exits import CommandError
from runtime.settings import Settings

MASK = "********"


class SettingsError(CommandError):
    """A PERDURE_* variable holds what it can't hold."""


def load(**given: Any) -> Settings:
    """The settings; `given` (from options) goes before the environment, None counts as not given.

    Raises:
        SettingsError: names each wrong variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"PERDURE_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None


def shown(settings: Settings) -> dict[str, object]:
    """Every setting by its variable's name, secrets and passwords masked."""
    return {
        f"PERDURE_{name.upper()}": _masked(getattr(settings, name))
        for name in type(settings).model_fields
    }


def _masked(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, AnyUrl) or hasattr(value, "hosts"):
        return _without_password(str(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, int | float | None) else str(value)


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    userinfo, at, host = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    return f"{scheme}{separator}{user}{colon}{MASK if colon else ''}{at}{host}"
