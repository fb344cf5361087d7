"""Keep fine-tunes; count the attempts of a job from the last that kept something.

Revision ID: 2026_11_25_1950
Revises: 2026_11_25_1945
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_1950"
down_revision = "2026_11_25_1945"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fine_tunes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), server_default="default", nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("dataset_sha256", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("base_name", sa.String(), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("base_sha256", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.Column(
            "hyperparameters",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
        ),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column(
            "split", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "history", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column(
            "checkpoints",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
        ),
        sa.Column(
            "report", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("result_name", sa.String(), nullable=True),
        sa.Column("result_version", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_fine_tunes_dataset_id_datasets")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_fine_tunes_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fine_tunes")),
        sa.UniqueConstraint("job_id", name=op.f("uq_fine_tunes_job_id")),
    )
    op.create_index(op.f("ix_fine_tunes_dataset_id"), "fine_tunes", ["dataset_id"], unique=False)
    op.create_index(op.f("ix_fine_tunes_project_id"), "fine_tunes", ["project_id"], unique=False)
    op.add_column(
        "jobs", sa.Column("fruitful_attempt", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("jobs", "fruitful_attempt")
    op.drop_index(op.f("ix_fine_tunes_project_id"), table_name="fine_tunes")
    op.drop_index(op.f("ix_fine_tunes_dataset_id"), table_name="fine_tunes")
    op.drop_table("fine_tunes")
