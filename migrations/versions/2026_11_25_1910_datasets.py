"""Keep datasets: which records are in one, whose they are, and what was left out.

Revision ID: 2026_11_25_1910
Revises: 2026_11_25_1905
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_1910"
down_revision = "2026_11_25_1905"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), server_default="default", nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("n_records", sa.Integer(), nullable=False),
        sa.Column("n_patients", sa.Integer(), nullable=False),
        sa.Column(
            "counts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("left_out_count", sa.Integer(), nullable=False),
        sa.Column(
            "left_out", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column(
            "audit", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_index(op.f("ix_datasets_project_id"), "datasets", ["project_id"], unique=False)
    op.create_table(
        "dataset_members",
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("record_sha256", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("label", sa.Double(), nullable=True),
        sa.Column(
            "counts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_dataset_members_dataset_id_datasets"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records.id"], name=op.f("fk_dataset_members_record_id_records")
        ),
        sa.PrimaryKeyConstraint("dataset_id", "position", name=op.f("pk_dataset_members")),
    )
    op.create_index(
        op.f("ix_dataset_members_record_id"), "dataset_members", ["record_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_dataset_members_record_id"), table_name="dataset_members")
    op.drop_table("dataset_members")
    op.drop_index(op.f("ix_datasets_project_id"), table_name="datasets")
    op.drop_table("datasets")
