"""This worker among others: its row says where it runs, what it serves and that it is alive."""

import platform
import shutil
import socket
import subprocess

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.models import Worker
from core.db.session import get_database
from core.ids import new_id
from core.settings import Settings
from core.version import __version__
from core.work import workers
from worker import slots

log = structlog.get_logger(__name__)

_SECONDS = 10


def introduce(queues: list[str], settings: Settings) -> Worker:
    return Worker(
        id=new_id("wk"),
        host=socket.gethostname()[:255],
        version=__version__,
        queues=queues,
        slots={queue: slots.slots_of(queue, settings) for queue in queues},
        device=_device_name(settings.device),
    )


def note_alive(me: Worker) -> None:
    try:
        with get_database().writing() as session:
            workers.note_alive(session, me)
    except SQLAlchemyError as error:
        log.warning("no heartbeat: the database does not answer", error=str(error))


def sign_off(me: Worker) -> None:
    try:
        with get_database().writing() as session:
            workers.sign_off(session, me.id)
    except SQLAlchemyError as error:
        log.warning("not signed off: the database does not answer", error=str(error))


def _device_name(wanted: str) -> str:
    """The GPUs by name if there are any and they are to be used, else the kind of CPU.

    Found without torch, which Celery's processes never load.
    """
    names = [] if wanted in ("cpu", "mps") else _gpus()
    return ", ".join(dict.fromkeys(names))[:200] or f"{platform.machine()} CPU"


def _gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        found = subprocess.run(  # noqa: S603
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []  # a driver without a device
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
