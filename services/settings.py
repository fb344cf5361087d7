"""Every setting of the service: one typed class, read once at the edge of a process and passed on.

Set them as environment variables with the prefix `ECTOPY_`, or in a `.env` file in the folder the
process is started in; `.env.example` lists them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """Defaults work on one machine, for its own users only."""

    model_config = SettingsConfigDict(env_prefix="ECTOPY_", env_file=".env", extra="ignore")

    data_dir: Path = Field(
        Path("data"),
        description="folder of everything that must survive: records, models, database",
    )

    database_url: str = Field(
        "postgresql+psycopg://ectopy@127.0.0.1:5432/ectopy",
        description="SQLAlchemy URL of Postgres",
    )
    database_password_file: Path | None = Field(
        None, description="file with the database password, where the URL holds none"
    )
    broker_url: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey URL")
    broker_password_file: Path | None = Field(
        None, description="file with the broker password, where the URL holds none"
    )

    storage_url: str = Field(
        "", description="where records are kept: empty for data_dir/store, or s3://bucket/prefix"
    )
    storage_endpoint: str = Field("", description="address of an S3-compatible store")
    storage_region: str = Field("us-east-1", description="region of the S3 store")
    storage_access_key: str = Field("", description="access key id of the S3 store")
    storage_secret_key: SecretStr = Field(SecretStr(""), description="secret key of the S3 store")

    api_host: str = Field("127.0.0.1", description="address that the API listens on")
    api_port: int = Field(8000, ge=0, le=65535, description="port that the API listens on")
    api_processes: int = Field(
        0,
        ge=0,
        le=64,
        description="processes that the API is; 0: one for each processor, at most 4",
    )
    allowed_clients: str = Field(
        "", description="comma-separated networks (CIDR) that may call besides loopback"
    )

    allowed_hosts: str = Field(
        "",
        description="comma-separated host names, beside localhost and addresses, under which a "
        "browser may reach the service while no API keys are configured",
    )
    key_requests_per_minute: int = Field(
        6000, ge=0, description="requests of one API key in a minute; 0: as many as it likes"
    )
    key_requests_at_once: int = Field(
        200, ge=0, description="unfinished requests of one API key; 0: as many as it likes"
    )
    requests_at_once: int = Field(
        1000,
        gt=0,
        description="unfinished requests of all callers in one API process; more are answered 503",
    )
    uploads_at_once: int = Field(
        4,
        gt=0,
        description="uploads that are read at once; others wait for their turn. Each API process "
        "has its share, one at least",
    )
    uploads_waiting: int = Field(
        200,
        ge=0,
        description="uploads that wait for their turn in one API process; more are answered 503",
    )
    jobs_waiting: int = Field(
        2000, gt=0, description="jobs that wait in a queue; what would be one more is answered 503"
    )
    body_silence_s: float = Field(
        30.0, gt=0, description="a request whose body does not come on for so long ends with 408"
    )
    body_duration_s: float = Field(
        3600.0, gt=0, description="longest time that a request's body may take to arrive, seconds"
    )
    statement_timeout_s: float = Field(
        60.0, gt=0, description="a statement of the API that the database works on longer is ended"
    )

    keep_free_text: bool = Field(
        False,
        description="keep the free text of annotations, which may name a patient; else only "
        "rhythm codes stay",
    )
    keep_records_days: float = Field(
        0.0, ge=0, description="records older than so many days are removed; 0: kept for ever"
    )
    keep_results_days: float = Field(
        0.0, ge=0, description="predictions that ended so many days ago are removed; 0: never"
    )
    audit_reads: bool = Field(
        False, description="the audit trail also tells who read which resource"
    )

    max_upload_bytes: int = Field(1024 * MEBIBYTE, gt=0, description="largest request body")
    max_import_bytes: int = Field(
        4096 * MEBIBYTE, gt=0, description="largest request body that brings in a model"
    )
    max_dataset_bytes: int = Field(
        16384 * MEBIBYTE,
        gt=0,
        description="largest archive of a dataset, as it is sent and unpacked",
    )
    max_dataset_records: int = Field(
        20_000, gt=0, description="most records that a dataset may have"
    )
    max_record_values: int = Field(
        500_000_000, gt=0, description="most samples times leads that a record may have"
    )
    max_leads: int = Field(64, gt=0, description="most leads that a record may have")
    min_record_s: float = Field(1.0, gt=0, description="shortest record that is stored, seconds")

    wait_default_s: float = Field(60.0, description="how long /v1/predict/* waits when not told")
    lease_s: float = Field(
        30.0, gt=0, description="a running job whose worker is silent this long is given to another"
    )
    job_max_attempts: int = Field(
        3, gt=0, description="times a job is started before it counts as failed"
    )
    resend_after_s: float = Field(
        5.0, gt=0, description="a queued job that no worker took for so long is sent again"
    )

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    training_device: str = Field(
        "auto", description="device of training runs: auto, cpu, cuda or cuda:N"
    )
    training_processes: int = Field(
        0, ge=0, description="processes of a training run; 0 is one for each GPU that it may use"
    )
    training_machines: int = Field(
        1,
        ge=1,
        le=64,
        description="machines that a training run takes, where the training workers of so many are "
        "idle; they share database, broker and store",
    )
    training_host: str = Field(
        "127.0.0.1",
        description="address by which the training processes of other machines reach this one's; "
        "nobody else may (docs/security.md)",
    )
    checkpoint_every_s: float = Field(
        300.0, gt=0, description="a training run keeps a checkpoint this often, besides each epoch"
    )
    inference_threads: int = Field(
        0, ge=0, description="predictions at once in a worker; 0 chooses by the machine"
    )
    models_in_memory: int = Field(
        8, gt=0, description="loaded model versions a worker keeps; least recently used goes first"
    )
    worker_alive_file: Path | None = Field(
        None, description="file that a worker touches every few seconds, for a health check"
    )

    traces_endpoint: str = Field(
        "",
        description="OTLP collector (HTTP) that gets traces, such as http://127.0.0.1:4318; empty: "
        "none; needs the extra `traces`",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least shown"
    )
    log_format: Literal["json", "console"] = Field("console", description="json for collectors")

    @property
    def processes_of_api(self) -> int:
        """Those that share what is meant for all, as `python -m api` tells each; else one."""
        return self.api_processes or 1

    @property
    def store_dir(self) -> Path:
        return self.data_dir / "store"

    @property
    def database(self) -> URL:
        """The database URL with the password of `database_password_file` in it."""
        url = make_url(self.database_url)
        if self.database_password_file and not url.password:
            url = url.set(password=self.database_password_file.read_text().strip())
        return url

    @property
    def broker(self) -> str:
        """The broker URL with the password of `broker_password_file` in it."""
        url = make_url(self.broker_url)
        if self.broker_password_file and not url.password:
            password = self.broker_password_file.read_text().strip()
            # without a user name, even an empty one, SQLAlchemy would leave the password out
            url = url.set(username=url.username or "", password=password)
        return url.render_as_string(hide_password=False)
