"""The tool `web_fetch`: the text of a page, or a file as an artifact."""

from dataclasses import replace

from domain.errors import ToolInputError
from domain.tools.calls import OnStarted, ToolInvocation, ToolOutcome
from domain.web.urls import parse_url
from tools.file_names import choose_name, last_part, usable_media_type
from tools.limits import ToolLimits, describe_size
from tools.output import Spool, is_binary
from tools.paths import Workspace
from tools.web.access import WebAccess
from tools.web.bodies import read_pieces, spool_body
from tools.web.exchanges import Arrived, Exchange
from tools.web.page_process import PageRequest
from tools.web.pages import PageConverter
from tools.web.redirects import WebRequest

_SECONDS = 60.0
"""Of one call, with its redirects (chosen: as browsers give up after one to five minutes)."""

_ACCEPTED = "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.5"

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS = frozenset(
    {
        "application/javascript", "application/json", "application/ld+json", "application/toml",
        "application/x-ndjson", "application/x-sh", "application/xml", "application/yaml",
        "application/x-yaml", "image/svg+xml", "",
    }
)  # fmt: skip
_SAMPLE_BYTES = 8192


class WebFetch:
    """Reads pages for all executions of a worker."""

    def __init__(self, access: WebAccess, limits: ToolLimits) -> None:
        """`access` decides which addresses are reached."""
        self._access = access
        self._limits = limits
        self._pages = PageConverter()

    async def run(
        self, workspace: Workspace, invocation: ToolInvocation, _: OnStarted
    ) -> ToolOutcome:
        """Fetch a page and return a part of its text."""
        exchange = Exchange(self._access, invocation, _SECONDS)
        return await exchange.record(self._fetch(workspace, exchange))

    async def _fetch(self, workspace: Workspace, exchange: Exchange) -> ToolOutcome:
        tool_input = exchange.invocation.input
        request = WebRequest("GET", parse_url(tool_input["url"]), {"Accept": _ACCEPTED})
        async with exchange.send(request) as arrived:
            if not _is_text(arrived.media_type):
                return await self._save(workspace, arrived)
            content, is_cut = await self._read(arrived)
        return await self._show(arrived, content, tool_input.get("offset", 0), is_cut=is_cut)

    async def _read(self, arrived: Arrived) -> tuple[bytes, bool]:
        """Read a text up to the limit."""
        content, most = bytearray(), self._limits.page_bytes
        async for piece in read_pieces(arrived.response, ()):
            content += piece
            if len(content) > most:
                return bytes(content[:most]), True
        return bytes(content), False

    async def _show(
        self, arrived: Arrived, content: bytes, offset: int, *, is_cut: bool
    ) -> ToolOutcome:
        is_html = arrived.media_type in _HTML
        if not is_html and is_binary(content[:_SAMPLE_BYTES]) and not _charset(arrived):
            raise ToolInputError(
                f"{arrived.request.url} is not a text ({arrived.media_type or 'unknown type'}, "
                f"{len(content):,} bytes). Save it with http_request."
            )
        asked: PageRequest = {
            "is_html": is_html,
            "charset": _charset(arrived),
            "base_url": str(arrived.request.url),
            "offset": offset,
            "limit_bytes": self._limits.preview_bytes,
        }
        part = await self._pages.convert(content, asked)
        lines = [arrived.describe(), *([f"Title: {part['title']}"] if part["title"] else [])]
        lines += ["", part["text"] or "(no text here)"]
        end = offset + len(part["text"])
        if offset or end < part["characters"]:
            lines.append(f"\n(… Characters {offset:,} to {end:,} of {part['characters']:,}.")
            more = f" Continue with offset {end}." if end < part["characters"] else ""
            lines[-1] += f"{more} …)"
        if is_cut:
            limit = describe_size(self._limits.page_bytes)
            lines.append(f"\n(The page has more than {limit}; the rest was not read.)")
        return ToolOutcome("\n".join(lines))

    async def _save(self, workspace: Workspace, arrived: Arrived) -> ToolOutcome:
        """Save a file that is not text as an artifact."""
        most, url = self._limits.output_bytes, arrived.request.url
        if workspace.user_room is not None:
            most = max(min(most, workspace.user_room), 0)
        with Spool(workspace.private, most) as spool:
            if await spool_body(arrived.response, spool, most) or spool.discarded_bytes:
                raise ToolInputError(
                    f"{url} is a file ({arrived.media_type}) of more than "
                    f"{describe_size(spool.stored_bytes)}, which can't be saved."
                )
            file = spool.save(is_text=False)
        media_type = usable_media_type(arrived.media_type)
        name = choose_name(last_part(str(url)) or url.host, media_type)
        about = f"{media_type}, {file.size_bytes:,} bytes"
        return ToolOutcome(
            f"{arrived.describe()}\n\nThis is not a text ({about}). Saved as the artifact {name}.",
            artifacts=(replace(file, name=name, media_type=media_type),),
        )


def _is_text(media_type: str) -> bool:
    return (
        media_type in _TEXTS
        or media_type.startswith("text/")
        or media_type in _HTML
        or media_type.endswith(("+json", "+xml"))
    )


def _charset(arrived: Arrived) -> str | None:
    return arrived.response.charset_encoding
