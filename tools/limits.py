"""What bounds one tool call. All values are chosen unless a source is named."""

from dataclasses import dataclass

MIB = 1024 * 1024

MAX_TIMEOUT_SECONDS = 600
"""Longest a command may run: below a segment's 15 minutes, so that a segment can end in time."""

MAX_COMMAND_BYTES = 128_000
"""Longest command: Linux refuses a single argument of 128 KiB (MAX_ARG_STRLEN)."""

MAX_CONTENT_CHARACTERS = 1_000_000
"""Most that `write_file` takes: several times what a model can write in one turn."""


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Limits of every call on a worker. The last five hold for each process of a command."""

    preview_bytes: int = 30_000
    """Output the model sees, so at most as many characters: about 8,000 tokens."""
    output_bytes: int = 64 * MIB
    """Output that is stored; what a command prints beyond it is discarded and said to be."""
    command_seconds: float = 120.0
    """How long a command runs that names no time-out: enough for most test suites."""
    search_seconds: float = 20.0
    """How long a search runs: a tree of 1 GB takes 1 to 5 s; a bad pattern never ends."""
    launch_seconds: float = 20.0
    """How long setting up a sandbox may take: 20 ms alone; far more on a machine under load."""
    file_bytes: int = 16 * MIB
    """Largest file that is read or edited whole, in memory."""
    artifact_bytes: int = 256 * MIB
    """Largest file that is kept as an artifact."""
    tmp_bytes: int = 256 * MIB
    """Size of a command's /tmp, which is memory and is gone after it."""

    cpu_seconds: int = MAX_TIMEOUT_SECONDS
    """Processor time of one process."""
    memory_bytes: int = 4096 * MIB
    """Address space of one process: compilers and Node fit, an endless allocation doesn't."""
    written_file_bytes: int = 1024 * MIB
    """Largest file a command can write."""
    open_files: int = 1024
    """Open files of one process: the usual default."""
    processes: int = 512
    """Processes of a sandbox: parallel builds fit, a fork bomb doesn't."""
