"""Tell in a worker's log for which request a job runs.

Revision ID: 2026_11_25_2030
Revises: 2026_11_25_1950
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_2030"
down_revision = "2026_11_25_1950"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "request_id")
