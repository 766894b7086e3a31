"""Making a job."""

from sqlalchemy.orm import Session

from core.catalogue import idempotency, rows
from core.catalogue.usage import admit_job
from core.db.models import Dataset, Job
from core.errors import Conflict, InvalidRequest
from core.ids import new_id
from core.jobs import queue
from core.jobs.spec import JobSpec, NetworkSpec
from core.jobs.states import PRIORITIES
from core.jobs.transitions import first_event
from core.settings import Settings


def create_job(
    session: Session,
    owner: str,
    *,
    dataset_id: str,
    name: str | None,
    spec: JobSpec,
    priority: str,
    settings: Settings,
    idempotency_key: str | None,
) -> tuple[Job, bool]:
    """A queued job on a data set that is ready, and whether it is new.

    Raises:
        NotFound: no such data set.
        Conflict: it is not ready.
        InvalidRequest: the set cannot be condensed so.
        QuotaExceeded: the owner has too many jobs or bytes already.
    """
    fresh = new_id("job")
    request = {
        "dataset_id": dataset_id,
        "name": name,
        "spec": spec.model_dump(mode="json"),
        "priority": priority,
    }
    job_id = idempotency.remember(session, owner, idempotency_key, request, fresh)
    if job_id != fresh:
        return rows.get(session, Job, owner, job_id), False
    dataset = rows.lock(session, Dataset, owner, dataset_id)
    if dataset.state != "ready" or dataset.manifest is None or dataset.content_hash is None:
        raise Conflict(
            f"{dataset.id} is {dataset.state}: a job needs a data set that is ready",
            code="dataset_not_ready",
            dataset_state=dataset.state,
        )
    admit_job(session, owner, settings)
    fitted = fitted_spec(spec, dataset.manifest, settings.max_ipc)
    job = Job(
        id=fresh,
        owner=owner,
        name=name,
        dataset_id=dataset.id,
        data_hash=dataset.content_hash,
        spec=fitted.model_dump(mode="json"),
        state="queued",
        phase="condense",
        priority=PRIORITIES.index(priority),
        fence=0,
    )
    session.add(job)
    first_event(session, job, {"dataset_id": dataset.id, "iterations": fitted.iterations})
    session.flush()
    queue.ring(session, job)
    session.refresh(job)
    return job, True


def fitted_spec(spec: JobSpec, manifest: dict[str, object], max_ipc: int) -> JobSpec:
    """The spec with everything filled in, if the data set can give what it asks for.

    Raises:
        InvalidRequest: it cannot.
    """
    splits = manifest["splits"]
    assert isinstance(splits, dict)
    count, classes = splits["train"]["count"], len(splits["train"]["per_class"])
    if not splits["test"]["count"]:
        raise InvalidRequest(
            "the data set has no test image, and a condensed set is evaluated on some: upload it with a test "
            "split, or with at least two images in a class",
            code="no_test_images",
            pointer="/dataset_id",
        )
    limit = min(max_ipc, count // classes)
    if spec.ipc > limit:
        raise InvalidRequest(
            f"ipc is {spec.ipc}; at most {limit} for this data set: {classes} classes share {count} training "
            f"images, and the server allows {max_ipc}",
            code="ipc_too_large",
            pointer="/ipc",
            limit=limit,
            value=spec.ipc,
        )
    size = manifest["image_size"]
    assert isinstance(size, int)
    resolved = spec.resolved(size, count, classes)
    seen: set[str] = set()
    for n, on in enumerate(resolved.architectures()):
        pointer = f"/evaluation/cross_architecture/{n - 1}" if n else "/network"
        _check_depth(on.network, size, pointer)
        if on.network_name() in seen:
            raise InvalidRequest(
                f"{pointer[1:].replace('/', '.')} is {on.network_name()} in results, as is a network before "
                "it: each needs a name of its own",
                code="network_repeated",
                pointer=pointer,
                value=on.network_name(),
            )
        seen.add(on.network_name())
    return resolved


def _check_depth(network: NetworkSpec, size: int, pointer: str) -> None:
    depth = network.depth
    if depth is not None and network.pooling != "none" and size >> depth < 1:
        raise InvalidRequest(
            f"{pointer[1:].replace('/', '.')}.depth is {depth}; images of {size} px allow at most "
            f"{size.bit_length() - 1}",
            code="network_too_deep",
            pointer=f"{pointer}/depth",
            limit=size.bit_length() - 1,
            value=depth,
        )
