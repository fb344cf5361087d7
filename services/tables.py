"""The whole schema: imports each room's rows, so that migrations and tests see every table."""

from __future__ import annotations

from services.access import row as access_rows
from services.datasets import row as dataset_rows
from services.db.base import Base
from services.fine_tunes import group_row as training_group_rows
from services.fine_tunes import row as fine_tune_rows
from services.imports import row as import_rows
from services.jobs import row as job_rows
from services.predictions import row as prediction_rows
from services.records import row as record_rows
from services.registry import row as registry_rows

ROOMS = (
    access_rows,
    job_rows,
    record_rows,
    registry_rows,
    dataset_rows,
    prediction_rows,
    import_rows,
    fine_tune_rows,
    training_group_rows,
)

metadata = Base.metadata
