"""The scripted model: an HTTP server with the Messages API whose answers follow a script.

Tests and `--scripted-model` call it through the SDK. The script format is in `scripts.py`, the
checks of requests are in `validation.py`. `python -m claude.scripted` runs it as a process.
"""

from claude.scripted.server import ScriptedModelServer

__all__ = ["ScriptedModelServer"]
