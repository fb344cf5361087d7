"""Let a job's work be part of the trace of its request, and workers tell of their memory.

Revision ID: 2026_11_27_0930
Revises: 2026_11_25_2030
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_27_0930"
down_revision = "2026_11_25_2030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("trace_parent", sa.String(), nullable=True))
    op.add_column("workers", sa.Column("memory", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "memory")
    op.drop_column("jobs", "trace_parent")
