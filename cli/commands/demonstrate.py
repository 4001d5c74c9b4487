"""`perdure demo`."""

import os

import typer


def add_to(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command()(demo)


def demo() -> None:
    """Run one real task end to end and say what happened.

    Uses the stack that runs here, else starts one in a temporary home and stops it again. Without
    ANTHROPIC_API_KEY the scripted model answers.
    """
    from cli.configuration import load
    from cli.demo import run

    # The SDK's own variables; only whether one is there, the SDK reads it in the worker.
    has_key = any(os.environ.get(f"ANTHROPIC_{name}") for name in ("API_KEY", "AUTH_TOKEN"))
    raise typer.Exit(run(load(), has_key=has_key))
