"""What is received about the service itself."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    status: str = Field(examples=["ready"])
    checks: dict[str, str] = Field(examples=[{"database": "ok", "broker": "ok", "worker": "ok"}])


class WorkerOut(BaseModel):
    name: str
    queues: list[str]
    device: str = Field(examples=["cpu"])
    version: str
    started_at: datetime
    seen_at: datetime


class SystemOut(BaseModel):
    version: str
    workers: list[WorkerOut]
    queues: dict[str, int] = Field(
        description="jobs that wait, by queue", examples=[{"predict": 0, "batch": 0}]
    )
    limits: dict[str, float]
