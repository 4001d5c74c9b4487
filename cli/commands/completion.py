"""`perdure completion`: the completion script of a shell."""

from typing import Annotated, Literal

import typer


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")],
) -> None:
    """Print the script that completes commands, options, task names and ids.

    bash: `eval "$(perdure completion bash)"` in ~/.bashrc. zsh: the same with zsh in ~/.zshrc.
    fish: `perdure completion fish > ~/.config/fish/completions/perdure.fish`.
    """
    from typer._completion_shared import get_completion_script

    from cli.command_groups.lazy import COMPLETION_VARIABLE

    script = get_completion_script(
        prog_name="perdure", complete_var=COMPLETION_VARIABLE, shell=shell
    )
    typer.echo(script)
