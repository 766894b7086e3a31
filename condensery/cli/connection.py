"""Which server, with which key: --server, then the environment, then the configuration file."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from platformdirs import user_config_path

from condensery import Client
from condensery.cli.group import Failed

DEFAULT_SERVER = "http://127.0.0.1:8000"
_KNOWN = ("server", "api_key")


@dataclass(frozen=True)
class Connection:
    server: str
    api_key: str | None


def config_file() -> Path:
    return user_config_path("condensery") / "config.toml"


def chosen(option: str | None) -> Connection:
    """Raises Failed: the configuration file cannot be used."""
    file = _read(config_file())
    server = option or os.environ.get("CONDENSERY_SERVER") or file.get("server") or DEFAULT_SERVER
    return Connection(server, os.environ.get("CONDENSERY_API_KEY") or file.get("api_key"))


@contextmanager
def client_of(context: typer.Context) -> Iterator[Client]:
    """For one request or a few: a server that is away is named at once."""
    with _client(context, retries=1) as client:
        yield client


@contextmanager
def patient_client_of(context: typer.Context) -> Iterator[Client]:
    """For what takes long. A wrong address or key is named at once, before anything is sent; later a server
    that is away for less than a minute is waited for."""
    with client_of(context) as first:
        first.usage()
    with _client(context, retries=14) as client:
        yield client


def _client(context: typer.Context, retries: int) -> Client:
    connection = chosen(context.find_root().obj)
    try:
        return Client(connection.server, connection.api_key, retries=retries)
    except ValueError as error:
        raise Failed(str(error)) from error


def _read(path: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failed(f"{path} is not TOML: {error}") from error
    for name, value in found.items():
        if name not in _KNOWN:
            raise Failed(f"{path} has {name!r}, which is not known: known are {', '.join(_KNOWN)}")
        if not isinstance(value, str):
            raise Failed(f"{path}: {name} must be text in quotes, got {value!r}")
    return found
