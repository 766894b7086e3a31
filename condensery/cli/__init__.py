"""The command line."""

from importlib.metadata import version
from typing import Annotated

import typer

from condensery.cli import datasets, jobs, keys, sets
from condensery.cli.compare import compare
from condensery.cli.evaluate import evaluate
from condensery.cli.group import Group
from condensery.cli.output import put
from condensery.cli.submit import follow, submit
from condensery.cli.transfer import download
from condensery.up import offered, serve

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Dataset condensation as a service.",
    epilog="Server and key: CONDENSERY_SERVER and CONDENSERY_API_KEY, or `server` and `api_key` in the file "
    "that `condensery config` names.",
)


def _print_version(asked: bool) -> None:
    if asked:
        put(f"condensery {version('condensery')}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    server: Annotated[str | None, typer.Option(help="Address, such as http://127.0.0.1:8000.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it, and end.")
    ] = False,
) -> None:
    """Dataset condensation as a service."""
    context.obj = server


def up(
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: the setting's.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the setting's.")] = None,
) -> None:
    """Run the API and a worker on this machine until Ctrl-C. CONDENSERY_HOST and CONDENSERY_PORT, in the
    environment or in .env, are 127.0.0.1 and 8000 if nothing else is set."""
    raise typer.Exit(serve(host, port))


if offered():
    app.command()(up)
app.command()(submit)
app.command()(evaluate)
app.command()(follow)
app.command("jobs")(jobs.list_jobs)
app.command()(jobs.show)
app.command()(jobs.events)
app.command()(jobs.cancel)
app.command()(jobs.pause)
app.command()(jobs.resume)
app.command()(download)
app.command()(compare)
app.add_typer(datasets.app, name="datasets")
app.add_typer(sets.app, name="sets")
app.add_typer(keys.app, name="keys")
app.command()(keys.usage)
app.command()(keys.config)
