"""Keep which published files were brought in, and which model versions they became.

Revision ID: 2026_11_21_2250
Revises: 2026_11_21_first
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_21_2250"
down_revision = "2026_11_21_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_imports",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model_name", sa.String(), nullable=True),
        sa.Column("model_version", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_model_imports_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_imports")),
        sa.UniqueConstraint("job_id", name=op.f("uq_model_imports_job_id")),
    )


def downgrade() -> None:
    op.drop_table("model_imports")
