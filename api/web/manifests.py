"""The manifest of a condensed set, as its own file tells it: for class names, and how to load each format."""

import json
from typing import Any

from core.db.models import Artifact
from core.storage import Storage

#: Larger than any manifest that a worker writes; beyond it, how to load is read in the file itself.
_MAX_BYTES = 4 << 20


def manifest_of(storage: Storage, artifact: Artifact | None) -> dict[str, Any]:
    """Empty where there is none that can be read."""
    if artifact is None or artifact.size > _MAX_BYTES:
        return {}
    try:
        found = json.loads(b"".join(storage.read(artifact.blob_key, 0, artifact.size)))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
