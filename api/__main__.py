"""`python -m api`: serve."""

import gc
import socket
import sys
from types import FrameType

import structlog
import uvicorn
from prometheus_client import start_http_server

from api.app import create_app
from api.security import is_loopback
from api.server.connections import HEAD_BYTES, Connection
from core import logs
from core.catalogue.keys import any_key
from core.db.session import get_database
from core.settings import get_settings
from core.version import __version__

#: For requests that are being answered when SIGTERM comes.
SHUTDOWN_SECONDS = 5

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Told to stop, it takes no new uploads, which may come until its sockets are closed, and ends open event
    streams: their clients go on elsewhere."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.draining = True  # type: ignore[union-attr]
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.event_hub.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def main() -> int:
    settings = get_settings()
    logs.configure(settings, process="api")
    if not is_loopback(settings.host):
        with get_database().reading() as session:
            if not any_key(session):
                log.critical(
                    f"refusing to listen on {settings.host}: there are no API keys, so anybody who reaches "
                    "it could do anything. Make one first: "
                    "python -m core.admin keys create --owner NAME --scope admin"
                )
                return 2
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Connection.of(settings),
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    config.load()
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, settings.metrics_host, app.state.metrics.registry)
    # What is loaded by now stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    log.info("api started", host=settings.host, port=settings.port, version=__version__)
    Server(config).run()
    log.info("api stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
