"""`python -m condensery.cli`."""

from condensery.cli import app

app(prog_name="condensery")
