"""All settings of Perdure, read in one place from `PERDURE_*` (contract.md, section 8).

Composition roots build one `Settings` and hand its values down; nothing else reads the environment.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _signing(secret: SecretStr | None) -> SecretStr | None:
    """Nothing is no secret; one that can be guessed offline, from any token, is refused."""
    if secret is None or not secret.get_secret_value():
        return None
    if len(secret.get_secret_value().encode()) < JWT_SECRET_BYTES:
        raise ValueError(f"it needs {JWT_SECRET_BYTES} bytes or more: `openssl rand -base64 32`")
    return secret


def _sealing(keys: SecretStr) -> SecretStr:
    for key in keys.get_secret_value().split(","):
        if 0 < len(key.strip()) < SECRETS_KEY_CHARACTERS:
            raise ValueError(f"each key needs {SECRETS_KEY_CHARACTERS} characters or more")
    return keys


def _mailing(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if url.get_secret_value() and (parts.scheme not in {"smtp", "smtps"} or not parts.hostname):
        raise ValueError("it must look like smtp://user:password@host:587")
    return url


JWT_SECRET_BYTES = 32
"""Of a key for HS256 (RFC 7518, section 3.2)."""

SECRETS_KEY_CHARACTERS = 32
"""Of a key that seals secrets: 32 random characters of base64 are 192 bits."""

Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values in one variable, with commas between them."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write absolute paths")
    return path


Directories = Annotated[
    tuple[Annotated[Path, AfterValidator(_absolute)], ...], NoDecode, BeforeValidator(_split)
]
"""Absolute paths, with commas between them."""


Rate = Annotated[str, Field(pattern=r"^([1-9][0-9]*/(second|minute|hour|day))?$")]
"""So many in such a time; empty is no limit."""


class Settings(BaseSettings):
    """Frozen settings. A secret has no default; sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="PERDURE_", frozen=True, extra="ignore")

    home: Path = Field(
        default=Path(".perdure"),
        description="Where the embedded stack, workspaces and stored bytes live.",
    )

    database_url: PostgresDsn | None = Field(
        default=None, description="postgresql://user:password@host:port/database"
    )
    database_pool_size: int = Field(default=10, ge=1, description="Connections per process.")

    temporal_address: str | None = Field(default=None, description="host:port of Temporal.")
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    temporal_ui_url: str | None = Field(
        default=None, description="Where operators open Temporal's UI; used in links."
    )

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    api_body_limit_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    public_url: str | None = Field(
        default=None, description="The gateway's address from outside; https switches HSTS on."
    )

    jwt_secret: Annotated[SecretStr | None, AfterValidator(_signing)] = Field(
        default=None, description="Key of HS256 tokens; 32 bytes or more."
    )
    jwks_url: HttpUrl | None = Field(
        default=None, description="Where keys of RS256 and ES256 tokens are; needs the next two."
    )
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_role_claim: str = Field(default="role", description="Path of the role's claim, with dots.")

    rate_limit: Rate = Field(
        default="",
        description="Requests of one user at one gateway, such as `600/minute`; empty is no limit.",
    )
    failed_auth_limit: Rate = Field(
        default="600/minute", description="Refused credentials from one address; empty is no limit."
    )
    max_concurrent_executions_per_user: int | None = Field(
        default=None, ge=0, description="Executions of one user that have not ended."
    )
    max_usd_per_user_per_day: Decimal | None = Field(
        default=None, ge=0, description="What a user's executions of a day (UTC) may cost."
    )

    cors_origins: Listed = Field(
        default=(), description="Origins of other web applications that may use the API."
    )
    allowed_hosts: Listed = Field(
        default=(),
        description="Host names that requests may name; by default any, on loopback the local "
        "ones and that of the public URL.",
    )
    trusted_proxies: Listed = Field(
        default=(), description="Addresses and networks whose X-Forwarded-* headers are believed."
    )

    api_url: str | None = Field(
        default=None, description="The gateway the command line talks to; else that of `home`."
    )
    token: SecretStr | None = Field(
        default=None, description="The command line's token; else that of `home`."
    )
    ready_file: Path | None = Field(
        default=None, description="Where a started part announces itself to its supervisor."
    )

    model: str = Field(default="claude-opus-5-5", description="The default model.")
    max_concurrent_executions: int = Field(
        default=200, ge=1, description="Executions that one worker moves forward at a time."
    )
    drain_seconds: float = Field(
        default=30.0, ge=0, description="How long a stopping worker may finish steps in hand."
    )

    sandbox: Literal["auto", "bubblewrap", "none"] = Field(
        default="auto",
        description="`auto` and `bubblewrap` refuse tools where no sandbox can be made; "
        "`none` runs them unprotected.",
    )

    working_directories: Directories = Field(
        default=(), description="Directories below which a task may name one to work in."
    )

    secrets_key: Annotated[SecretStr, AfterValidator(_sealing)] | None = Field(
        default=None,
        description="Seals stored secrets; several with commas: the first seals, all open.",
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_mailing)] | None = Field(
        default=None,
        description="Sends mail: smtp://user:password@host:587, or smtps://host for TLS at once.",
    )
    smtp_from: str | None = Field(
        default=None, description="The sender of mail; else the user of `smtp_url`, or its host."
    )
    outbound_allow: Listed = Field(
        default=(),
        description="Hosts, addresses and networks that webhooks may reach though not public.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
