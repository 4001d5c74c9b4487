"""Where clients get tokens for the MCP server: protected resource metadata (RFC 9728)."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.http.paging import public_address
from api.http.problems import render_error
from domain.errors import UnauthenticatedError
from runtime.settings import Settings

PATH = "/mcp"
"""Of the MCP server, which is the protected resource."""

WELL_KNOWN = "/.well-known/oauth-protected-resource"

router = APIRouter(include_in_schema=False)


@router.get(WELL_KNOWN)
@router.get(f"{WELL_KNOWN}{PATH}")
async def get_resource_metadata(request: Request) -> JSONResponse:
    """Return who issues tokens for the MCP server; 404 if the operator has named no issuer."""
    settings: Settings = request.app.state.gateway.settings
    if not (servers := find_authorization_servers(settings)):
        raise HTTPException(404)
    content = {
        "resource": f"{public_address(request)}{PATH}",
        "authorization_servers": list(servers),
        "bearer_methods_supported": ["header"],
        "resource_name": "Perdure",
    }
    if settings.mcp_oauth_scopes:
        content["scopes_supported"] = list(settings.mcp_oauth_scopes)
    return JSONResponse(content, headers={"Cache-Control": "public, max-age=3600"})


def find_authorization_servers(settings: Settings) -> Sequence[str]:
    """The issuers of tokens: those of the setting, otherwise the issuer whose keys are known."""
    if settings.mcp_authorization_servers:
        return settings.mcp_authorization_servers
    issuer = settings.jwt_issuer or ""
    is_url = issuer.startswith(("https://", "http://"))
    return (issuer,) if settings.jwks_url is not None and is_url else ()


def refuse_unauthenticated(request: Request, error: UnauthenticatedError) -> Response:
    """The response to invalid credentials, which names the metadata if there is an issuer."""
    response = render_error(request.scope, error)
    settings: Settings = request.app.state.gateway.settings
    if find_authorization_servers(settings):
        address = f"{public_address(request)}{WELL_KNOWN}{PATH}"
        challenge = f'Bearer resource_metadata="{address}"'
        if settings.mcp_oauth_scopes:
            challenge += f', scope="{" ".join(settings.mcp_oauth_scopes)}"'
        response.headers["WWW-Authenticate"] = challenge
    return response
