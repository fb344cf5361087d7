"""Let a job's work be part of the trace of the request that asked for it.

Revision ID: 2026_11_27_0930
Revises: 2026_11_25_2030
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_0930"
down_revision = "2026_11_25_2030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("trace_parent", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "trace_parent")
