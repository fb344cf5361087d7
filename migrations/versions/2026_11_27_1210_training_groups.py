"""Let a training run be spread over machines, and its checkpoints lie in the store.

Revision ID: 2026_11_27_1210
Revises: 2026_11_27_0930
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_27_1210"
down_revision = "2026_11_27_0930"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "training_groups",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("machines", sa.Integer(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_training_groups_job_id_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_training_groups")),
    )
    op.create_table(
        "training_places",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("first_rank", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "attempt"],
            ["training_groups.job_id", "training_groups.attempt"],
            name=op.f("fk_training_places_job_id_training_groups"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", "number", name=op.f("pk_training_places")),
    )
    op.add_column("fine_tunes", sa.Column("kept_files", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("fine_tunes", "kept_files")
    op.drop_table("training_places")
    op.drop_table("training_groups")
