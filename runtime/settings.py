"""All settings of Perdure, read in one place from `PERDURE_*` (contract.md, section 8).

Composition roots build one `Settings` and hand its values down; nothing else reads the environment.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    public_url: str | None = Field(default=None, description="The gateway's address from outside.")

    jwt_secret: SecretStr | None = Field(default=None, description="Key of HS256 tokens.")
    jwks_url: HttpUrl | None = Field(
        default=None, description="Where keys of RS256 and ES256 tokens are; needs the next two."
    )
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_role_claim: str = Field(default="role", description="Path of the role's claim, with dots.")

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

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
