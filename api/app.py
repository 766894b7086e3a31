"""The HTTP application. It imports no torch, so it starts in a second and its image is small."""

import asyncio

from fastapi import FastAPI

from api import contract, problems
from api.deps import READS_AT_ONCE, WRITES_AT_ONCE
from api.events.hub import EventHub
from api.metrics import Metrics
from api.parameters import KnownOnly
from api.plain_errors import PlainErrors
from api.request_context import RequestContext
from api.routes import (
    artifacts,
    condensed_sets,
    datasets,
    health,
    jobs,
    keys,
    metrics,
    tus,
    uploads,
    usage,
    webhooks,
    workers,
)
from api.security import KnownKeys
from api.server.slow_bodies import SlowBodies
from api.tidying import tidying
from api.tus.protocol import Tus
from api.web import account, assets, compare, new_job, sign_in
from api.web import condensed_sets as condensed_set_pages
from api.web import datasets as dataset_pages
from api.web import errors as error_pages
from api.web import jobs as job_pages
from core.db.session import Database, get_database
from core.settings import Settings, get_settings
from core.storage import Storage, get_storage
from core.version import __version__

DESCRIPTION = """Dataset condensation as a service: upload a labelled image set, get a few synthetic images
per class that train a network almost as well. Errors are RFC 9457 problems; lists are paged by `after`;
`Idempotency-Key` makes a repeated POST harmless."""


def create_app(
    settings: Settings | None = None, database: Database | None = None, storage: Storage | None = None
) -> FastAPI:
    """The application on the given parts; by default on those of the environment."""
    settings = settings or get_settings()
    app = FastAPI(
        title="condensery",
        version=__version__,
        description=DESCRIPTION,
        max_body_size=settings.max_body_bytes,
        docs_url=None,  # they would load scripts from another host
        redoc_url=None,
        lifespan=tidying,
        redirect_slashes=False,  # one address for one thing
        dependencies=[KnownOnly],
    )
    app.state.settings = settings
    app.state.database = database or get_database()
    app.state.known_keys = KnownKeys()
    app.state.event_hub = EventHub(
        app.state.database, in_all=settings.max_streams, per_owner=settings.owner_streams
    )
    app.state.storage = storage or get_storage()
    app.state.metrics = Metrics(app.state.database)
    app.state.draining = False
    app.state.reads = asyncio.Semaphore(READS_AT_ONCE)
    app.state.writes = asyncio.Semaphore(WRITES_AT_ONCE)
    problems.install(app)
    error_pages.install(app)
    for module in (
        health, uploads, tus, datasets, condensed_sets, jobs, artifacts, webhooks, keys, usage, workers,
    ):  # fmt: skip
        app.include_router(module.router)
    for module in (
        assets, sign_in, dataset_pages, condensed_set_pages, new_job, job_pages, compare, account,
    ):  # fmt: skip
        app.include_router(module.router)
    if settings.metrics_port is None:
        app.include_router(metrics.router)
    contract.describe(app)
    # Outside of all that Starlette puts around an application: its own refusals, and the answer to an
    # unexpected exception, get an id and headers, too.
    inside, http = app.build_middleware_stack, app.state.metrics.http
    app.build_middleware_stack = lambda: RequestContext(  # type: ignore[method-assign]
        SlowBodies(Tus(PlainErrors(inside())), settings), http
    )
    return app
