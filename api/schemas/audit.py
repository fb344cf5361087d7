"""What is received about the audit trail."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from services.access.row import AuditRow


class AuditEntry(BaseModel):
    created_at: datetime
    key_id: str | None = Field(description="null for a caller without a key, or the service itself")
    client: str | None = Field(description="address of the caller", examples=["10.1.2.3"])
    action: str = Field(examples=["DELETE /v1/records/{record_id}"])
    resource: str = Field(examples=["/v1/records/rec_01kb2v3f7m2k9d4q8t6x0z1c5e"])
    status: int | None = Field(description="of the answer", examples=[204])

    @classmethod
    def of(cls, row: AuditRow) -> AuditEntry:
        return cls(
            created_at=row.created_at,
            key_id=row.key_id,
            client=row.client,
            action=row.action,
            resource=row.resource,
            status=row.status,
        )


class AuditList(BaseModel):
    data: list[AuditEntry]
    next_cursor: str | None
