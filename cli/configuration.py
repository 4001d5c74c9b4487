"""The settings of a command: loading them, and showing them without secrets."""

from typing import Any

from pydantic import AnyUrl, SecretStr, ValidationError

from cli.exits import CommandError
from runtime.settings import Settings

MASK = "********"


class SettingsError(CommandError):
    """A PERDURE_* variable has an invalid value."""


def load_settings(**given: Any) -> Settings:
    """The settings; what is given (from options, unless None) overrides the environment.

    Raises:
        SettingsError: a variable is invalid; the message names each.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"PERDURE_{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None


def describe_settings(settings: Settings) -> dict[str, object]:
    """Every setting by the name of its variable, secrets and passwords masked."""
    return {
        f"PERDURE_{name.upper()}": _mask(getattr(settings, name))
        for name in type(settings).model_fields
    }


def _mask(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, AnyUrl) or hasattr(value, "hosts"):
        return _mask_password(str(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, int | float | None) else str(value)


def _mask_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    userinfo, at, host = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    return f"{scheme}{separator}{user}{colon}{MASK if colon else ''}{at}{host}"
