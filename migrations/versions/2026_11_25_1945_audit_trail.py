"""Keep an audit trail that can only be added to.

Revision ID: 2026_11_25_1945
Revises: 2026_11_25_1930
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1945"
down_revision = "2026_11_25_1930"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("client", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_project_id_id", "audit_events", ["project_id", "id"])
    op.execute(
        "create function refuse_change() returns trigger language plpgsql as "
        "$$ begin raise exception 'the audit trail can only be added to'; end $$"
    )
    op.execute(
        "create trigger audit_events_append_only before update or delete or truncate "
        "on audit_events for each statement execute function refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("audit_events")
    op.execute("drop function refuse_change()")
