"""Results of MCP tools: text for the model, within the limits of other tools, and files."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import mcp_types as types

from domain.tools.calls import SavedFile, ToolOutcome
from tools.file_names import BINARY, choose_name, last_part, usable_media_type
from tools.limits import ToolLimits
from tools.output import Spool, printable, show

MAX_FILES = 20
"""Files of one result that are saved (chosen)."""

Contents = types.TextResourceContents | types.BlobResourceContents
Linked = Mapping[str, Sequence[Contents]]
"""The contents of resources to which a result links, by their URI."""


def outcome_of(
    result: types.CallToolResult, linked: Linked, private: Path, limits: ToolLimits
) -> ToolOutcome:
    """Return what the model reads; pictures, sounds and resources are files for the store.

    Blocking. A text that is too long is a file, too.
    """
    files = _Files(private, limits)
    texts = [files.describe(block, linked) for block in result.content]
    if result.structured_content is not None and not texts:
        # Otherwise the texts say the same: a server repeats the structured content as text.
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    text = printable("\n".join(texts) or "(no output)")
    outcome = _limit_text(text, private, limits, is_error=result.is_error)
    return replace(outcome, artifacts=tuple(files.saved))


def links_of(result: types.CallToolResult) -> Sequence[str]:
    """Return the URIs of the resources to which a result links, each once."""
    blocks = [block for block in result.content if isinstance(block, types.ResourceLink)]
    return list(dict.fromkeys(str(block.uri) for block in blocks))


def _limit_text(text: str, private: Path, limits: ToolLimits, *, is_error: bool) -> ToolOutcome:
    encoded = text.encode()
    if len(encoded) <= limits.preview_bytes:
        return ToolOutcome(text, is_error=is_error)
    with Spool(private, limits.output_bytes) as spool:
        spool.write(encoded)
        shown = show(spool, limits.preview_bytes)
        return ToolOutcome(shown.text, is_error=is_error, whole_output=spool.save(is_text=True))


class _Files:
    """Saves the parts of a result that are no text, and describes all parts."""

    def __init__(self, private: Path, limits: ToolLimits) -> None:
        self._private = private
        self._limits = limits
        self.saved: list[SavedFile] = []

    def describe(self, block: types.ContentBlock, linked: Linked) -> str:
        """Return a part as text for the model."""
        match block:
            case types.TextContent():
                return block.text
            case types.ImageContent() | types.AudioContent():
                return f"[{self._save_data(block.type, block.mime_type, block.data)}]"
            case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
                return f"[Resource {resource.uri}]\n{resource.text}"
            case types.EmbeddedResource(resource=resource):
                return f"[Resource {resource.uri}: {self._save_contents(resource, None)}]"
            case types.ResourceLink():
                return "\n".join(self._describe_link(block, linked))

    def _describe_link(self, link: types.ResourceLink, linked: Linked) -> Iterator[str]:
        about = f" ({link.description})" if link.description else ""
        yield f"[Resource link: {link.name}] {link.uri}{about}"
        for contents in linked.get(str(link.uri), ()):
            yield f"[{self._save_contents(contents, link.name)}]"

    def _save_contents(self, contents: Contents, name: str | None) -> str:
        uri = str(contents.uri)
        name = name or last_part(uri) or "resource"
        if isinstance(contents, types.TextResourceContents):
            content = contents.text.encode("utf-8", "replace")
            return self._save(name, contents.mime_type or "text/plain", content)
        return self._save_data(name, contents.mime_type or BINARY, contents.blob)

    def _save_data(self, name: str, media_type: str, data: str) -> str:
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return f"{printable(media_type)[:100]}: not valid base64, left out"
        return self._save(name, media_type, content)

    def _save(self, name: str, media_type: str, content: bytes) -> str:
        """Save a file, and return what the model reads of it."""
        media_type = usable_media_type(media_type)
        about = f"{media_type}, {len(content):,} bytes"
        if len(self.saved) == MAX_FILES or len(content) > self._limits.artifact_bytes:
            return f"{about}: left out, because the result has too many files or this is too large"
        name = choose_name(name, media_type, {file.name for file in self.saved})
        with Spool(self._private, self._limits.artifact_bytes) as spool:
            spool.write(content)
            if spool.discarded_bytes:
                return f"{about}: left out, because the disk is full"
            file = spool.save(is_text=False)
        self.saved.append(replace(file, name=name, media_type=media_type))
        return f"{about}: saved as the artifact {name}"
