"""All settings of Perdure, read in one place from `PERDURE_*`.

The composition roots build one `Settings` and pass its values on; nothing else reads the
environment.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.web.network import NetworkList, parse_exemption


def _split_list(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _check_jwt_secret(secret: SecretStr | None) -> SecretStr | None:
    """Refuse a short secret, which could be guessed from any token. An empty one counts as None."""
    if secret is None or not secret.get_secret_value():
        return None
    if len(secret.get_secret_value().encode()) < JWT_SECRET_BYTES:
        raise ValueError(f"use {JWT_SECRET_BYTES} bytes or more (`openssl rand -base64 32`)")
    return secret


def _check_secrets_keys(keys: SecretStr) -> SecretStr:
    for key in keys.get_secret_value().split(","):
        if 0 < len(key.strip()) < SECRETS_KEY_CHARACTERS:
            raise ValueError(f"use {SECRETS_KEY_CHARACTERS} characters or more for each key")
    return keys


def _check_smtp_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if url.get_secret_value() and (parts.scheme not in {"smtp", "smtps"} or not parts.hostname):
        raise ValueError("use a URL such as smtp://user:password@host:587")
    return url


def _check_network(entries: tuple[str, ...]) -> tuple[str, ...]:
    texts = NetworkList.parse(entries).texts()
    if sum(map(len, texts)) > NETWORK_CHARACTERS:
        raise ValueError(
            f"use at most {NETWORK_CHARACTERS} characters; `*.example.com` stands for many hosts"
        )
    return texts


def _check_outbound(entries: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(parse_exemption, entries))


def _check_artifacts_url(url: str | None) -> str | None:
    """An empty value counts as None."""
    if not url:
        return None
    parts = urlsplit(url)
    is_directory = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1
    if not is_directory and not (parts.scheme in OBJECT_STORAGES and parts.netloc):
        raise ValueError("use a URL such as s3://bucket/prefix or file:///srv/artifacts")
    return url


GIB = 1024**3

OBJECT_STORAGES = frozenset({"s3", "gs", "az"})
"""Schemes of URLs of object storage: S3 and compatible servers, Google Cloud Storage, Azure."""

JWT_SECRET_BYTES = 32
"""At least, of a key for HS256 (RFC 7518, section 3.2)."""

SECRETS_KEY_CHARACTERS = 32
"""At least, of a key that encrypts secrets: 32 random characters of base64 are 192 bits."""

NETWORK_CHARACTERS = 64 * 1024
"""Limit of the list of hosts: the proxy receives it in one message, which has a limit (chosen)."""

McpGroup = Literal["orchestrator", "queue", "memory", "tasks"]
"""Groups of tools of the MCP server, besides the default one."""

MemoryLanguage = Literal[
    "simple",
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
]
"""The text search configurations of Postgres 14 and newer; `simple` is for all other languages."""

Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)]
"""Several values in one variable, separated by commas."""


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("use absolute paths")
    return path


Directories = Annotated[
    tuple[Annotated[Path, AfterValidator(_check_absolute)], ...],
    NoDecode,
    BeforeValidator(_split_list),
]
"""Absolute paths, separated by commas."""


Rate = Annotated[str, Field(pattern=r"^([1-9][0-9]*/(second|minute|hour|day))?$")]
"""A number of requests per unit of time; empty: no limit."""


class Settings(BaseSettings):
    """Frozen settings. No secret has a default. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="PERDURE_", frozen=True, extra="ignore")

    home: Path = Field(
        default=Path(".perdure"),
        description="Directory of the embedded stack, workspaces and artifacts.",
    )

    artifacts_url: Annotated[str | None, AfterValidator(_check_artifacts_url)] = Field(
        default=None,
        description="Where artifacts are stored: file:///directory, s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix. Default: `artifacts` in `home`.",
    )

    database_url: PostgresDsn | None = Field(
        default=None, description="postgresql://user:password@host:port/database"
    )
    database_pool_size: int = Field(
        default=10, ge=1, description="Connections in each of the two pools of a process."
    )

    temporal_address: str | None = Field(default=None, description="host:port of Temporal.")
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    temporal_ui_url: str | None = Field(
        default=None, description="URL of the Temporal UI; used in links."
    )

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    api_body_limit_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    api_head_limit_bytes: int = Field(
        default=64 * 1024, ge=1024, description="Size of a request's URL and headers."
    )
    api_head_seconds: float = Field(
        default=15.0, gt=0, description="Time in which a client must send a request's headers."
    )
    max_connections_per_address: int = Field(
        default=1000,
        ge=1,
        description="Open connections from one address (IPv6: one /64 network) to one gateway; "
        "trusted proxies have no limit.",
    )
    public_url: str | None = Field(
        default=None, description="Public URL of the gateway; https enables HSTS."
    )

    jwt_secret: Annotated[SecretStr | None, AfterValidator(_check_jwt_secret)] = Field(
        default=None, description="Key of HS256 tokens; 32 bytes or more."
    )
    jwks_url: HttpUrl | None = Field(
        default=None,
        description="URL of the RS256 and ES256 keys; needs issuer and audience.",
    )
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_role_claim: str = Field(
        default="role", description="Name of the role claim, or its path with dots."
    )
    jwt_groups_claim: str | None = Field(
        default=None,
        description="Name or path of the claim with the groups of a user; empty: only members.",
    )
    oidc_client_id: str | None = Field(
        default=None,
        description="Client at the issuer of `jwks_url` for the sign-in of people (OIDC).",
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Secret of that client; empty for a public client."
    )

    rate_limit: Rate = Field(
        default="500/second",
        description="Requests of a user at one gateway (such as `600/minute`); empty: no limit.",
    )
    max_concurrent_requests_per_user: int = Field(
        default=200, ge=1, description="Requests of a user in progress at one gateway."
    )
    max_streams_per_user: int = Field(
        default=100, ge=0, description="Open event streams of a user at one gateway."
    )
    notification_test_limit: Rate = Field(
        default="20/hour",
        description="Test notifications of a user at one gateway; empty: no limit.",
    )
    failed_auth_limit: Rate = Field(
        default="600/minute",
        description="Failed log-ins from one address; empty: no limit.",
    )
    max_concurrent_executions_per_user: int | None = Field(
        default=None, ge=0, description="Active executions of one user."
    )
    max_usd_per_user_per_day: Decimal | None = Field(
        default=None, ge=0, description="Cost of one user's executions per day (UTC)."
    )
    max_upload_bytes: int = Field(
        default=5 * GIB, ge=0, description="Size of a file that a client may upload."
    )
    max_stored_bytes_per_user: Annotated[int | None, BeforeValidator(_none_if_empty)] = Field(
        default=20 * GIB,
        ge=0,
        description="What the definitions, artifacts, workspaces and memory of one user may "
        "need; empty: no limit.",
    )
    max_memory_entries_per_user: Annotated[int | None, BeforeValidator(_none_if_empty)] = Field(
        default=1_000_000,
        ge=0,
        description="Memory entries of one user, with deleted ones; empty: no limit.",
    )
    memory_language: MemoryLanguage = Field(
        default="english",
        description="The dictionary of Postgres that memory is searched with, beside the words as "
        "they are written. A change holds for entries that are written after it.",
    )

    mcp_groups: Annotated[
        tuple[Literal[McpGroup, "all"], ...], NoDecode, BeforeValidator(_split_list)
    ] = Field(
        default=(),
        description="Groups of tools that the MCP server offers to clients whose URL names no "
        "group, in addition to the default tools: orchestrator, queue, memory, tasks or all.",
    )

    mcp_authorization_servers: Listed = Field(
        default=(),
        description="Issuers of tokens that clients of the MCP server may use (OAuth). Default: "
        "the issuer of `jwks_url`.",
    )
    mcp_oauth_scopes: Listed = Field(
        default=(), description="OAuth scopes that clients of the MCP server request."
    )

    cors_origins: Listed = Field(
        default=(), description="Origins of other web applications that may use the API."
    )
    allowed_hosts: Listed = Field(
        default=(),
        description="Host names that requests may use. Default: any; on loopback, local names "
        "and the host of the public URL.",
    )
    trusted_proxies: Listed = Field(
        default=(), description="Addresses and networks whose X-Forwarded-* headers are trusted."
    )

    api_url: str | None = Field(
        default=None,
        description="URL of the gateway that the command line uses. Default: that of `home`.",
    )
    token: SecretStr | None = Field(
        default=None, description="Token of the command line. Default: that of `home`."
    )
    profile: str | None = Field(
        default=None, description="Profile of the command line. Default: that of `profile use`."
    )
    ready_file: Path | None = Field(
        default=None, description="File that a process writes when it is ready."
    )

    model: str = Field(default="claude-opus-5-5", description="The default model.")
    max_concurrent_executions: int = Field(
        default=200, ge=1, description="Executions that one worker runs at a time."
    )
    worker_processes: int = Field(
        default=1, ge=1, le=64, description="Worker processes on this host."
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Time in which a stopping worker may finish its current steps.",
    )

    sandbox: Literal["auto", "bubblewrap", "none"] = Field(
        default="auto",
        description="`auto` and `bubblewrap` refuse tools if no sandbox is available; "
        "`none` runs them without protection.",
    )

    workspace_bytes: int = Field(
        default=2 * GIB, ge=1024 * 1024, description="Disk space of one workspace."
    )
    snapshot_bytes: int = Field(
        default=4 * GIB,
        ge=0,
        description="Stored bytes of one session's workspace snapshots; older ones are deleted.",
    )
    reserved_disk_bytes: int = Field(
        default=GIB // 4,
        ge=0,
        description="Free disk space that tools leave for the database and other users.",
    )
    command_memory_bytes: int = Field(
        default=2 * GIB,
        ge=64 * 1024 * 1024,
        description="Memory of all processes of one command together.",
    )

    working_directories: Directories = Field(
        default=(),
        description="Directories that tasks may work in, including their subdirectories.",
    )

    mcp_programs: Directories = Field(
        default=(),
        description="Directories with programs of MCP servers, besides those of the system. The "
        "sandbox shows them read-only.",
    )

    secrets_key: Annotated[SecretStr, AfterValidator(_check_secrets_keys)] | None = Field(
        default=None,
        description="Encrypts stored secrets. With several keys (commas), the first one encrypts.",
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_check_smtp_url)] | None = Field(
        default=None,
        description="SMTP server: smtp://user:password@host:587, or smtps://host (implicit TLS).",
    )
    smtp_from: str | None = Field(
        default=None, description="Sender of mail. Default: the user or the host of `smtp_url`."
    )
    slack_signing_secret: Annotated[SecretStr | None, BeforeValidator(_none_if_empty)] = Field(
        default=None,
        description="Signing secret of the Slack app whose buttons answer input requests.",
    )
    outbound_allow: Annotated[Listed, AfterValidator(_check_outbound)] = Field(
        default=(),
        description="Private hosts, addresses and networks that webhooks may reach.",
    )

    network_allow: Annotated[Listed, AfterValidator(_check_network)] = Field(
        default=(),
        description="Hosts that the network of tasks and agents may contain, such as "
        "`api.example.com,*.example.org:443`; `*` means every public host. Private addresses have "
        "to be listed themselves (`10.1.0.0/16:22`).",
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
