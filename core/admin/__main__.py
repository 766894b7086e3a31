"""`python -m core.admin`."""

import typer

from core import logs
from core.admin import jobs, keys, retention, storage
from core.settings import get_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")
app.add_typer(jobs.app, name="jobs")
app.add_typer(storage.app, name="storage")
app.command("reap")(jobs.reap)
app.command("retention")(retention.apply)


@app.callback()
def main() -> None:
    """Administer the service of this machine (CONDENSERY_DATABASE_URL, CONDENSERY_DATA_DIR)."""
    logs.configure(get_settings(), process="admin")


if __name__ == "__main__":
    app()
