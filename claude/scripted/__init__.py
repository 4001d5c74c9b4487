"""The scripted model: a real HTTP server that speaks the Messages API and follows a script.

Tests and `--scripted-model` talk to it through the real SDK. Script format: `scripts.py`; what it
checks in requests: `validation.py`. In a process of its own: `python -m claude.scripted`.
"""

from claude.scripted.server import ScriptedModelServer

__all__ = ["ScriptedModelServer"]
