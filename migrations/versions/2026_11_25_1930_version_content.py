"""Tell versions apart by all that they hold, keep their reports, and what a promotion overruled.

Revision ID: 2026_11_25_1930
Revises: 2026_11_25_1920
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_1930"
down_revision = "2026_11_25_1920"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("content_sha256", sa.String(), nullable=True))
    op.add_column("model_versions", sa.Column("report", postgresql.JSONB(), nullable=True))
    op.add_column("promotions", sa.Column("overruled", sa.String(), nullable=True))
    op.add_column("promotions", sa.Column("key_id", sa.String(), nullable=True))


def downgrade() -> None:
    """A location that names its content is one that an older release would not find."""
    op.drop_column("promotions", "key_id")
    op.drop_column("promotions", "overruled")
    op.drop_column("model_versions", "report")
    op.drop_column("model_versions", "content_sha256")
    op.execute(
        "update model_versions set location = split_part(location, '@', 1) "
        "where location like 'shipped:%'"
    )
