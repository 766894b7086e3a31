"""The one settings object. Every field is an environment variable with the prefix CONDENSERY_."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.webhooks.targets import AllowedHosts

MiB = 1 << 20
GiB = 1 << 30


class Settings(BaseSettings):
    """Configuration of API, worker and admin commands.

    The defaults are the embedded service: SQLite, a broker of plain files and blobs, all under
    `data_dir`. Production sets `database_url` and `broker_url`, and several machines `storage_url`.
    """

    model_config = SettingsConfigDict(env_prefix="CONDENSERY_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(Path("data"), description="Everything that the service stores on disk.")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy address; default: SQLite under data_dir."
    )
    broker_url: SecretStr | None = Field(
        None, description="Celery broker (redis://…); default: files under data_dir."
    )

    storage_url: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$",
        description="Where blobs are: s3://bucket or s3://bucket/prefix; default: files under data_dir. "
        "Endpoint, region and credentials are the AWS_* variables.",
    )
    storage_cache_bytes: int = Field(
        50 * GiB, ge=0, description="Copies of blobs of S3 that a machine keeps on its disk."
    )

    host: str = Field("127.0.0.1", description="Address to bind. Not a loopback one → API keys must exist.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    max_upload_bytes: int = Field(16 * GiB, ge=1, description="Largest upload.")
    max_body_bytes: int = Field(1 * MiB, ge=1024, description="Largest body of any other request.")
    upload_expiry_seconds: float = Field(
        86_400, gt=0, description="A resumable upload that received nothing this long is removed."
    )

    max_streams: int = Field(5000, ge=1, description="Event streams that one API process keeps open.")
    owner_streams: int = Field(1000, ge=1, description="Of these, how many one owner may have.")
    max_connections: int = Field(6000, ge=1, description="Connections at a time; further ones get a 503.")
    head_seconds: float = Field(10, gt=0, description="Time that a client has to send the head of a request.")
    idle_seconds: float = Field(
        30,
        gt=0,
        description="One that sends nothing of a body, or takes nothing of an answer, so long is cut.",
    )
    min_bytes_per_second: int = Field(
        500, ge=0, description="So is one that, after as long, is slower than this; 0 allows any rate."
    )

    lease_seconds: float = Field(
        60, ge=1, description="A job whose worker is silent this long runs elsewhere."
    )
    heartbeat_seconds: float = Field(
        10, gt=0, description="How often a worker renews its lease and looks for requests."
    )
    reap_seconds: float = Field(
        10, gt=0, description="How often expired leases and lost wake-ups are sought."
    )
    redispatch_seconds: float = Field(
        30, gt=0, description="A job still queued this long after its wake-up is sent again."
    )
    checkpoint_seconds: float = Field(60, ge=0, description="Time between checkpoints.")
    progress_seconds: float = Field(1, ge=0, description="Time between progress events.")
    stop_poll_seconds: float = Field(
        2, gt=0, description="How often a worker looks whether a job is to be cancelled or paused."
    )
    stop_grace_seconds: float = Field(
        8,
        gt=0,
        description="Time a running job has to end when it is cancelled, and to save its state when its "
        "worker stops, before it is killed.",
    )
    stall_seconds: float = Field(
        1800, gt=0, description="A job that reports nothing this long is killed and tried again."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts in a row that die without progress → failed.")

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where condensation runs.")
    cpu_slots: int = Field(1, ge=1, description="Ingests that one worker runs at a time.")
    poll_seconds: float = Field(
        30,
        gt=0,
        description="How often a worker looks for waiting rows without the broker.",
    )
    gpu_slots: int = Field(1, ge=1, description="Condensations that one worker runs at a time.")

    owner_queued_jobs: int = Field(1000, ge=1, description="Jobs of one owner that are queued or paused.")
    owner_running_jobs: int = Field(100, ge=1, description="Jobs of one owner in work at a time.")
    owner_stored_bytes: int | None = Field(
        None,
        ge=1,
        description="Bytes of one owner's uploads, data sets, checkpoints, snapshots and artifacts.",
    )

    max_archive_members: int = Field(1_500_000, ge=1, description="Files in one uploaded archive.")
    max_member_bytes: int = Field(16 * GiB, ge=1, description="Bytes one file of an archive may unpack to.")
    max_expanded_bytes: int = Field(64 * GiB, ge=1, description="Bytes an archive may unpack to.")
    max_expansion_ratio: int = Field(200, ge=1, description="Bytes that a stored byte may unpack to.")
    max_image_bytes: int = Field(64 * MiB, ge=1, description="Bytes of one image file.")
    max_image_pixels: int = Field(1 << 24, ge=1, description="Pixels of one image.")
    max_images: int = Field(10_000_000, ge=1, description="Images of one data set.")
    max_classes: int = Field(10_000, ge=2, description="Classes of one data set.")
    max_canonical_bytes: int = Field(64 * GiB, ge=1, description="Pixels of one data set, once read in.")
    max_ipc: int = Field(10_000, ge=1, le=10_000, description="Images per class of one job.")

    import_dirs: list[Path] = Field(
        [],
        description="Directories of the server that data sets may be read from in place, as a JSON list of "
        "absolute paths. Every key with the scope write may read all of them.",
    )

    owner_webhooks: int = Field(20, ge=0, description="Webhooks of one owner.")
    webhook_allowed_hosts: list[str] = Field(
        [],
        description="Names and networks (CIDR), as a JSON list, that webhooks may lead to although they are "
        "not public; to these also by http.",
    )
    webhook_log_days: float = Field(30, gt=0, description="How long ended deliveries stay in the log.")

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Serve /metrics here, without a key, instead of on the API's port for the scope admin.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of metrics_port: never a public one.")

    retention_days_jobs: float | None = Field(
        None, gt=0, description="Jobs that ended longer ago are deleted, with their artifacts; None: never."
    )
    retention_days_uploads: float | None = Field(
        None, gt=0, description="Uploads older than this are deleted; their data sets stay. None: never."
    )
    retention_days_datasets: float | None = Field(
        None, gt=0, description="Data sets that no job was made from for longer are deleted; None: never."
    )
    retention_full_percent: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Of an owner who stores more than this share of owner_stored_bytes, the oldest ended "
        "jobs and uploads are deleted until it is less; None: never.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe.")
    log_format: Literal["json", "console"] = Field("json", description="`json`, or `console` for people.")

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
