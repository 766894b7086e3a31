"""`python -m api`: serve."""

import sys

import uvicorn

from api.app import create_app
from api.security import is_loopback
from core import logs
from core.catalogue.keys import any_key
from core.db.session import get_database
from core.settings import get_settings

#: An open event stream would otherwise hold up SIGTERM for ever.
SHUTDOWN_SECONDS = 5


def main() -> int:
    settings = get_settings()
    logs.configure(settings, process="api")
    if not is_loopback(settings.host):
        with get_database().reading() as session:
            if not any_key(session):
                print(
                    f"condensery: refusing to listen on {settings.host}: there are no API keys, so anybody "
                    "who reaches it could do anything. Make one first:\n"
                    "    python -m core.admin keys create --owner NAME --scope admin",
                    file=sys.stderr,
                )
                return 2
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http="h11",  # unlike httptools, it bounds the size and number of headers
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
