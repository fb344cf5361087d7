"""Give every resource a project; models that come with the code are shared, the others one's own.

Revision ID: 2026_11_25_1920
Revises: 2026_11_25_1910
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1920"
down_revision = "2026_11_25_1910"
branch_labels = None
depends_on = None

SHIPPED = "(select name from model_versions where location like 'shipped:%')"


def upgrade() -> None:
    for table in ("records", "predictions", "model_imports", "models", "model_versions"):
        op.add_column(table, project())
    op.add_column("promotions", project())
    op.add_column("promotions", project("model_project_id"))
    op.drop_constraint("uq_records_sha256", "records", type_="unique")
    op.create_unique_constraint("uq_records_project_id", "records", ["project_id", "sha256"])
    for table in ("records", "predictions"):
        op.create_index(f"ix_{table}_project_id_id", table, ["project_id", "id"])
    op.create_index("ix_model_imports_project_id", "model_imports", ["project_id"])
    drop_model_keys()
    op.execute(f"update models set project_id = '*' where name in {SHIPPED}")
    op.execute(f"update promotions set model_project_id = '*' where name in {SHIPPED}")
    op.execute(f"update model_versions set project_id = '*' where name in {SHIPPED}")
    op.execute("update promotions set project_id = '*' where action = 'ship'")
    make_model_keys(["project_id", "name"], ["model_project_id", "name"])
    op.create_table(
        "answering_versions",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("model_project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "project_id", "model_project_id", "name", name=op.f("pk_answering_versions")
        ),
        sa.ForeignKeyConstraint(
            ["model_project_id", "name"],
            ["models.project_id", "models.name"],
            name=op.f("fk_answering_versions_model_project_id_models"),
        ),
    )
    # the last thing that was shipped is what all share; what a person chose stays that project's
    op.execute(
        "insert into answering_versions "
        "select distinct on (project_id, model_project_id, name) "
        "project_id, model_project_id, name, version, created_at from promotions "
        "order by project_id, model_project_id, name, id desc"
    )
    op.drop_column("models", "promoted_version")
    op.drop_column("models", "promoted_at")


def downgrade() -> None:
    """Back to one project: what other projects made goes, for nothing could tell it apart."""
    op.add_column("models", sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("models", sa.Column("promoted_version", sa.Integer(), nullable=True))
    op.execute(
        "update models set promoted_version = a.version, promoted_at = a.promoted_at from "
        "(select distinct on (model_project_id, name) * from answering_versions "
        "where project_id in ('default', '*') "
        "order by model_project_id, name, project_id = 'default' desc) a "
        "where a.model_project_id = models.project_id and a.name = models.name"
    )
    op.drop_table("answering_versions")
    drop_model_keys()
    op.execute("delete from promotions where model_project_id not in ('default', '*')")
    for table in ("promotions", "model_versions", "models"):
        op.execute(f"delete from {table} where project_id not in ('default', '*')")
    for table in ("promotions", "model_versions", "models"):
        column = "model_project_id" if table == "promotions" else "project_id"
        # where the project had taken the name of a shared model, its own stays
        op.execute(
            f"delete from {table} t where {column} = '*' and exists "
            f"(select 1 from models m where m.name = t.name and m.project_id = 'default')"
        )
    make_model_keys(["name"], ["name"])
    op.execute(
        "delete from prediction_items where prediction_id in "
        "(select id from predictions where project_id <> 'default')"
    )
    for table in ("model_imports", "predictions"):
        op.execute(
            f"with gone as (delete from {table} where project_id <> 'default' "
            "returning job_id) delete from jobs where id in (select job_id from gone)"
        )
    op.execute("delete from records where project_id <> 'default'")
    op.drop_index("ix_model_imports_project_id", table_name="model_imports")
    for table in ("records", "predictions"):
        op.drop_index(f"ix_{table}_project_id_id", table_name=table)
    op.drop_constraint("uq_records_project_id", "records", type_="unique")
    op.create_unique_constraint("uq_records_sha256", "records", ["sha256"])
    op.drop_column("promotions", "model_project_id")
    for table in (
        *("promotions", "model_versions", "models"),
        *("model_imports", "predictions", "records"),
    ):
        op.drop_column(table, "project_id")


def project(name: str = "project_id") -> sa.Column:
    return sa.Column(name, sa.String(), server_default="default", nullable=False)


def drop_model_keys() -> None:
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    for table in ("model_versions", "promotions"):
        for key in inspector.get_foreign_keys(table):
            op.drop_constraint(key["name"], table, type_="foreignkey")
    for table in ("model_versions", "models"):
        op.drop_constraint(f"pk_{table}", table, type_="primary")


def make_model_keys(model: list[str], promoted: list[str]) -> None:
    op.create_primary_key("pk_models", "models", model)
    op.create_primary_key("pk_model_versions", "model_versions", [*model, "version"])
    op.create_foreign_key(
        f"fk_model_versions_{model[0]}_models", "model_versions", "models", model, model
    )
    op.create_foreign_key(
        f"fk_promotions_{promoted[0]}_models", "promotions", "models", promoted, model
    )
