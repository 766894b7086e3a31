"""The one settings object. Every field is an environment variable with the prefix CONDENSERY_."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.targets import AllowedHosts

MiB = 1 << 20
GiB = 1 << 30


class Settings(BaseSettings):
    """Configuration of API, worker and admin commands.

    The defaults are the embedded service: SQLite, a broker of plain files and blobs, all under
    `data_dir`. Production sets `database_url` and `broker_url`, and several machines `storage_url`.
    """

    model_config = SettingsConfigDict(env_prefix="CONDENSERY_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("data"), description="Directory for everything that the service stores on this machine's disk."
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy address of the database. Default: SQLite under data_dir."
    )
    broker_url: SecretStr | None = Field(
        None, description="Address of Celery's broker (redis://…). Default: files under data_dir."
    )

    storage_url: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$",
        description="Where to store blobs: s3://bucket or s3://bucket/prefix. Default: files under "
        "data_dir. Set endpoint, region and credentials by the AWS_* variables.",
    )
    storage_cache_bytes: int = Field(
        50 * GiB, ge=0, description="Most bytes of S3 objects that a machine keeps on its disk as copies."
    )

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. On any but a loopback address the API starts only if an API key "
        "exists.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    max_upload_bytes: int = Field(16 * GiB, ge=1, description="Largest upload, in bytes.")
    max_body_bytes: int = Field(1 * MiB, ge=1024, description="Largest body of any other request, in bytes.")
    upload_expiry_seconds: float = Field(
        86_400,
        gt=0,
        description="Seconds without new bytes before an unfinished resumable upload is deleted.",
    )

    max_streams: int = Field(5000, ge=1, description="Most event streams open at a time in one API process.")
    owner_streams: int = Field(
        1000, ge=1, description="Most event streams of one owner open at a time in one API process."
    )
    max_connections: int = Field(
        6000,
        ge=1,
        description="Most connections open at a time in one API process. Further ones are answered 503.",
    )
    head_seconds: float = Field(
        10,
        gt=0,
        description="Seconds that a client has to send a request's headers before the connection is closed.",
    )
    idle_seconds: float = Field(
        30,
        gt=0,
        description="Seconds without data, in sending a body or in receiving an answer, before a "
        "connection is closed.",
    )
    min_bytes_per_second: int = Field(
        500,
        ge=0,
        description="Bytes per second below which a connection is closed once idle_seconds have passed. 0 "
        "allows any rate.",
    )

    lease_seconds: float = Field(
        60,
        ge=1,
        description="Seconds without a heartbeat before a job is taken from its worker and given to another.",
    )
    heartbeat_seconds: float = Field(
        10, gt=0, description="Seconds between renewals of a worker's leases. At most half of lease_seconds."
    )
    reap_seconds: float = Field(
        10, gt=0, description="Seconds between searches for expired leases and lost wake-ups."
    )
    redispatch_seconds: float = Field(
        30, gt=0, description="Seconds that a job waits after its wake-up before another wake-up is sent."
    )
    checkpoint_seconds: float = Field(60, ge=0, description="Seconds between checkpoints of a running job.")
    progress_seconds: float = Field(1, ge=0, description="Seconds between progress events of a running job.")
    stop_poll_seconds: float = Field(
        2, gt=0, description="Seconds between a worker's checks whether a job is to be cancelled or paused."
    )
    stop_grace_seconds: float = Field(
        8,
        gt=0,
        description="Seconds that a running job has to end when it is cancelled, or to save its state when "
        "its worker stops, before it is killed.",
    )
    stall_seconds: float = Field(
        1800, gt=0, description="Seconds without a report before a running job is killed and tried again."
    )
    max_attempts: int = Field(
        3, ge=1, description="Attempts in a row that may end early, without progress, before a job fails."
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Device to condense and evaluate on. `auto` takes a GPU if there is one."
    )
    cpu_slots: int = Field(
        1,
        ge=1,
        description="Rows of the queue `cpu` (data sets to read, sets to export) that one worker works on "
        "at a time.",
    )
    poll_seconds: float = Field(
        30,
        gt=0,
        description="Seconds between a worker's own searches for waiting work, which find it even without "
        "the broker.",
    )
    gpu_slots: int = Field(
        1,
        ge=1,
        description="Rows of the queue `gpu` (condensations, evaluations) that one worker works on at a "
        "time.",
    )

    owner_queued_jobs: int = Field(
        1000, ge=1, description="Most jobs of one owner that are queued or paused."
    )
    owner_running_jobs: int = Field(
        100, ge=1, description="Most jobs of one owner that workers work on at a time."
    )
    owner_stored_bytes: int | None = Field(
        None,
        ge=1,
        description="Most bytes of one owner's uploads, data sets, checkpoints, snapshots and artifacts "
        "together. Default: no limit.",
    )

    max_archive_members: int = Field(1_500_000, ge=1, description="Most files in one uploaded archive.")
    max_member_bytes: int = Field(
        16 * GiB, ge=1, description="Most bytes that one file of an archive may unpack to."
    )
    max_expanded_bytes: int = Field(
        64 * GiB, ge=1, description="Most bytes that a whole archive may unpack to."
    )
    max_expansion_ratio: int = Field(
        200, ge=1, description="Most bytes that one stored byte of an archive may unpack to."
    )
    max_image_bytes: int = Field(64 * MiB, ge=1, description="Largest image file, in bytes.")
    max_image_pixels: int = Field(1 << 24, ge=1, description="Most pixels of one image (width × height).")
    max_images: int = Field(10_000_000, ge=1, description="Most images of one data set.")
    max_classes: int = Field(10_000, ge=2, description="Most classes of one data set.")
    max_canonical_bytes: int = Field(
        64 * GiB, ge=1, description="Most bytes of pixels of one data set in canonical form."
    )
    max_ingest_memory_bytes: int = Field(
        4 * GiB, ge=256 * MiB, description="Most bytes of memory of the process that reads one data set."
    )
    max_ingest_cpu_seconds: int = Field(
        86_400, ge=1, description="Most seconds of CPU time of the process that reads one data set."
    )
    max_ipc: int = Field(10_000, ge=1, le=10_000, description="Most images per class that a job may ask for.")

    import_dirs: list[Path] = Field(
        [],
        description="Directories of the server that data sets may be read from in place, as a JSON list of "
        "absolute paths. Every key with the scope write can read all of them.",
    )

    owner_webhooks: int = Field(20, ge=0, description="Most webhooks of one owner.")
    webhook_allowed_hosts: list[str] = Field(
        [],
        description="Host names and networks (CIDR) that webhooks may lead to although they are not "
        "public, as a JSON list. For these http is allowed, too.",
    )
    webhook_log_days: float = Field(
        30, gt=0, description="Days that finished deliveries of webhooks stay in the log."
    )

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port that serves /metrics without a key. Default: the API's port, for keys with the "
        "scope admin.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address that metrics_port listens on. Keep it private: no key is needed there.",
    )

    retention_days_jobs: float | None = Field(
        None,
        gt=0,
        description="Days after its end before a job is deleted with its artifacts. Default: never.",
    )
    retention_days_uploads: float | None = Field(
        None,
        gt=0,
        description="Days before an upload is deleted. Data sets made from it stay. Default: never.",
    )
    retention_days_datasets: float | None = Field(
        None, gt=0, description="Days without a new job on it before a data set is deleted. Default: never."
    )
    retention_days_condensed_sets: float | None = Field(
        None,
        gt=0,
        description="Days without a new job on it before a condensed set that was uploaded or merged is "
        "deleted. Those made by jobs go with their jobs. Default: never.",
    )
    retention_days_trained_networks: float | None = Field(
        None,
        gt=0,
        description="Days without a job that matches in it before a trained network of a pool is deleted; it "
        "goes with the last data set of its images in any case. Default: never.",
    )
    retention_full_percent: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Per cent of owner_stored_bytes above which an owner's oldest ended jobs, uploads, "
        "data sets, condensed sets and trained networks are deleted, until less is stored. Default: never.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Form of a log line: `json`, or `console` for people."
    )

    @field_validator("heartbeat_seconds")
    @classmethod
    def _heartbeat_fits_lease(cls, value: float, info: object) -> float:
        lease = getattr(info, "data", {}).get("lease_seconds", value * 3)
        if value > lease / 2:
            raise ValueError(f"must be at most half of lease_seconds ({lease:g}), got {value:g}")
        return value

    @field_validator("import_dirs")
    @classmethod
    def _import_dirs_are_absolute_and_apart(cls, value: list[Path], info: object) -> list[Path]:
        data_dir = getattr(info, "data", {}).get("data_dir", Path("data")).resolve()
        for directory in value:
            if not directory.is_absolute():
                raise ValueError(f"must be absolute paths, got {str(directory)!r}")
            # In it lie the uploads and results of every owner.
            if data_dir.is_relative_to(directory.resolve()) or directory.resolve().is_relative_to(data_dir):
                raise ValueError(f"must not share files with data_dir ({data_dir}), got {str(directory)!r}")
        return value

    @field_validator("webhook_allowed_hosts")
    @classmethod
    def _hosts_are_names_or_networks(cls, value: list[str]) -> list[str]:
        AllowedHosts.of(value)
        return value

    @property
    def database(self) -> str:
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite+pysqlite:///{self.data_dir.absolute() / 'condensery.db'}"

    @property
    def broker(self) -> str:
        return self.broker_url.get_secret_value() if self.broker_url else "filesystem://localhost"


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
