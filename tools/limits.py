"""Limits of tool calls. All values are chosen, unless a source is named."""

from dataclasses import dataclass

from domain.tools.builtin import MAX_TIMEOUT_SECONDS

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Limits of every call on a worker. The last five apply to each process of a command."""

    workspace_bytes: int = 2048 * MIB
    """Disk space of a workspace (PERDURE_WORKSPACE_BYTES)."""
    reserved_disk_bytes: int = 256 * MIB
    """What tools leave free on the disk, for the database (PERDURE_RESERVED_DISK_BYTES)."""
    command_memory_bytes: int = 2048 * MIB
    """Memory of all processes of a command together (PERDURE_COMMAND_MEMORY_BYTES)."""

    preview_bytes: int = 30_000
    """Output that is sent to the model: about 8,000 tokens."""
    output_bytes: int = 64 * MIB
    """Output that is stored; more is discarded, which the result mentions."""
    command_seconds: float = 120.0
    """Time-out of a command by default: enough for most test suites."""
    search_seconds: float = 20.0
    """Time-out of a search: a tree of 1 GB takes 1 to 5 s; a bad pattern never ends."""
    launch_seconds: float = 20.0
    """Time-out for the start of a sandbox: it takes 20 ms, far more on a loaded machine."""
    file_bytes: int = 16 * MIB
    """Largest file that can be read or edited, which happens in memory."""
    page_bytes: int = 5 * MIB
    """Largest part of a web page that is read: longer ones are data, not pages."""
    artifact_bytes: int = 256 * MIB
    """Largest file that can be saved as an artifact."""
    tmp_bytes: int = 256 * MIB
    """Size of a command's /tmp, which is in memory and discarded after it."""

    cpu_seconds: int = MAX_TIMEOUT_SECONDS
    """Processor time of one process."""
    memory_bytes: int = 4096 * MIB
    """Address space of one process: enough for compilers and Node."""
    written_file_bytes: int = 1024 * MIB
    """Largest file a command can write."""
    open_files: int = 1024
    """Open files of one process: the usual default."""
    processes: int = 512
    """Processes of a sandbox: enough for parallel builds."""

    def stored_bytes(self, user_room: int | None) -> int:
        """How much of an output is stored: what the model reads, and the rest if there is room.

        `user_room` is how much more the user may store; None if there is no limit.
        """
        if user_room is None:
            return self.output_bytes
        return min(self.output_bytes, max(user_room, self.preview_bytes))


def describe_size(size_bytes: int) -> str:
    """A size for people and models."""
    return f"{size_bytes / MIB:,.4g} MiB"
