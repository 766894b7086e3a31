"""The tables. Every row that users see has an owner; every query of the API is scoped by it."""

from core.db.base import Base
from core.db.models.accounts import ApiKey, IdempotencyKey, SignIn
from core.db.models.condensed_sets import Artifact, CondensedSet
from core.db.models.datasets import Dataset
from core.db.models.events import Event
from core.db.models.jobs import Checkpoint, Job, Metric, Snapshot
from core.db.models.pools import PooledNetwork
from core.db.models.trials import Trial
from core.db.models.uploads import Blob, Orphan, Upload
from core.db.models.webhooks import Delivery, Webhook
from core.db.models.workers import Worker

# Base too is imported from here: its metadata has the tables only once these modules are loaded.
__all__ = [
    "ApiKey",
    "Artifact",
    "Base",
    "Blob",
    "Checkpoint",
    "CondensedSet",
    "Dataset",
    "Delivery",
    "Event",
    "IdempotencyKey",
    "Job",
    "Metric",
    "Orphan",
    "PooledNetwork",
    "SignIn",
    "Snapshot",
    "Trial",
    "Upload",
    "Webhook",
    "Worker",
]
