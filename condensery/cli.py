"""The command line."""

from typing import Annotated

import typer

from condensery.up import serve

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Dataset condensation as a service.")


@app.callback()
def main() -> None:
    """Dataset condensation as a service."""


@app.command()
def up(
    host: Annotated[str, typer.Option(envvar="CONDENSERY_HOST", help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="CONDENSERY_PORT", min=1, max=65535)] = 8000,
) -> None:
    """Run the API and a worker on this machine until Ctrl-C."""
    raise typer.Exit(serve(host, port))


if __name__ == "__main__":
    app()
