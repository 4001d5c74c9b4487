"""Groups of commands: their modules load when a command is called, and misspelled names get a hint.

Help is plain text: the library for colours would take longer to load than most commands run.
"""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup

COMPLETION_VARIABLE = "_PERDURE_COMPLETE"
"""Set by the shell's completion script: `perdure` then prints completions and nothing else."""

RENAMED = {"show": "get", "new": "create", "add": "create", "remove": "delete", "rm": "delete"}
"""Verbs of other programs and of earlier versions, and ours."""


class Lazy(NamedTuple):
    """A command: where it is defined, and its line in the help."""

    module: str
    attribute: str
    help: str


def make_app(**options: Any) -> typer.Typer:
    """An application of Typer whose help is plain."""
    options = {"cls": HintedGroup, "no_args_is_help": True, **options}
    return typer.Typer(rich_markup_mode=None, add_completion=False, **options)


class HintedGroup(TyperGroup):
    """A group that knows the names of other programs for its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command; an unknown name is refused with the name that is meant."""
        name = args[0]
        meant = [RENAMED[name]] if RENAMED.get(name) in self.commands else []
        meant = meant or get_close_matches(name, list(self.commands), 1)
        is_unknown = name not in self.commands and not name.startswith("-")
        if is_unknown and not ctx.resilient_parsing:  # not while a shell completes
            path = ctx.command_path
            hint = f"Did you mean `{path} {meant[0]}`?" if meant else f"`{path} --help` lists all."
            ctx.fail(f"There is no command {name!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with the whole first paragraph of its help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, (command.short_help or command.help or "").partition("\n\n")[0])
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class LazyCommands(Mapping[str, Any]):
    """Commands by name; the module of each is imported at the first use."""

    def __init__(self, entries: Mapping[str, Lazy]) -> None:
        """Imports nothing."""
        self._entries = entries
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Import the command."""
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._entries[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a command."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """The names in the order of the help."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)


def _load(name: str, entry: Lazy) -> Any:
    found = getattr(import_module(f"cli.commands.{entry.module}"), entry.attribute)
    app = found if isinstance(found, typer.Typer) else getattr(found, "app", None)
    if app is None:
        app = make_app()
        app.command(name)(found)
        command = typer.main.get_command(app)
    else:
        command = typer.main.get_group(app)  # also if it has one command
    command.name = name
    return command


class LazyGroup(HintedGroup):
    """The group of all commands, in sections."""

    sections: ClassVar[Mapping[str, Mapping[str, Lazy]]]

    def __init__(self, **options: Any) -> None:
        """The options are those of `TyperGroup`."""
        super().__init__(**options)
        entries = {n: entry for section in self.sections.values() for n, entry in section.items()}
        self.commands = LazyCommands(entries)  # type: ignore[assignment]  # nothing adds to it

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write the sections, without importing a command."""
        for title, entries in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])

    def _main_shell_completion(self, *args: Any, **options: Any) -> None:
        if os.environ.get(COMPLETION_VARIABLE):
            from typer._completion_classes import completion_init

            completion_init()
        super()._main_shell_completion(*args, **options)
