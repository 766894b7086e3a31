"""Trials of jobs, each a row that any worker may take."""

from typing import ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Leased, Owned, one_of
from core.vocabulary import TRIAL_STATES


class Trial(Owned, Leased, Base):
    """One network, to be trained from scratch on one training set and tested once, at its last epoch.

    `group` says what for, and `step` where in it (after which iteration); `position` is its turn among the
    job's. A trial in work is either leased to a worker, as a job is, or, with `job_fence`, in the hands of
    that attempt at the job itself, whose lease holds it. What a worker could not do (`problem`) only an
    attempt at the job tries again: so the job ends as that attempt does. `selection_key`: the blob with the
    images chosen for its training set, where they must not be chosen anew.
    """

    __tablename__ = "trials"
    __table_args__ = (
        one_of("state", TRIAL_STATES),
        UniqueConstraint("job_id", "group", "step", "method", "network", "protocol", "repeat"),
        Index(None, "state", "job_id", "position"),
    )
    id_prefix: ClassVar = "tr"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    group: Mapped[str] = mapped_column(String(40))
    step: Mapped[int] = mapped_column(default=0)
    method: Mapped[str] = mapped_column(String(40))
    network: Mapped[str] = mapped_column(String(80))
    protocol: Mapped[str] = mapped_column(String(40))
    repeat: Mapped[int]
    position: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16))
    job_fence: Mapped[int | None]
    selection_key: Mapped[str | None] = mapped_column(String(255))
    epochs: Mapped[int | None]
    train_images: Mapped[int | None] = mapped_column(BigInteger)
    accuracy: Mapped[float | None]
    per_class: Mapped[list[float | None] | None]
    confusion: Mapped[list[list[int]] | None]
    seconds: Mapped[float | None]
