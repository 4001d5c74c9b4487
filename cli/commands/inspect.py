"""`perdure token`, `perdure config`, `perdure doctor`: what there is and what is missing."""

from typing import Annotated, Literal

import typer

from cli.commands.run import AsJson


def add_to(app: typer.Typer) -> None:
    """Put these commands into the application."""
    for command in (token, config, doctor):
        app.command()(command)


def token(
    user: Annotated[str, typer.Option(help="Who it speaks for.")] = "local",
    role: Annotated[Literal["user", "admin"], typer.Option()] = "user",
    ttl: Annotated[float, typer.Option(help="Hours it holds.", min=0.001)] = 24,
) -> None:
    """Print a token, made with PERDURE_JWT_SECRET or this home's own secret."""
    from datetime import timedelta

    from cli.configuration import load
    from cli.exits import CommandError
    from cli.stack.home import Home
    from cli.tokens import mint

    settings = load()
    home = Home(settings.home.absolute())
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
    elif home.jwt_secret_file.exists():
        secret = home.ensure_secret(home.jwt_secret_file)
    else:
        raise CommandError(
            f"There is no secret to sign with: {home.path} has none yet. Start `perdure up` there "
            "once, or set PERDURE_JWT_SECRET."
        )
    typer.echo(mint(secret, user=user, role=role, lives=timedelta(hours=ttl)))


def config(*, as_json: AsJson = False) -> None:
    """Show every setting, secrets masked."""
    from cli import show
    from cli.configuration import load, shown

    settings = shown(load())
    if as_json:
        show.as_json(settings)
    else:
        show.rows(("variable", "value"), list(settings.items()), nothing="")


def doctor(*, as_json: AsJson = False) -> None:
    """Look what is missing on this machine, and say how to mend it."""
    from dataclasses import asdict

    from cli import show
    from cli.configuration import load
    from cli.doctor import State, examine
    from cli.exits import Exit

    styles = {State.OK: "green", State.HINT: "yellow", State.MISSING: "red"}
    findings = list(examine(load()))
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            show.out.print(
                f"[{styles[finding.state]}]{finding.state:8}[/] {finding.name}", end=": "
            )
            show.out.print(finding.what, markup=False)
            if finding.state is not State.OK:
                show.out.print(f"         {finding.mend}", style="dim", markup=False)
    if any(finding.state is State.MISSING for finding in findings):
        raise typer.Exit(Exit.FAILED)
