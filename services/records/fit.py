"""Whether a stored record has what a model family needs of one, without opening its signal."""

from __future__ import annotations

from services.ecg.leads import standard_name
from services.ecg.record import MILLIVOLT
from services.errors import UnusableInput
from services.models.spec import FamilySpec
from services.records.row import RecordRow


def require_fit(spec: FamilySpec, record: RecordRow) -> None:
    """UnusableInput for a record that is too short, or lacks a lead."""
    if record.duration_s < spec.min_duration_s:
        raise UnusableInput(
            f"the record lasts {record.duration_s:g} s; this model needs at least "
            f"{spec.min_duration_s:g} s"
        )
    names = {standard_name(lead["name"]) for lead in record.leads if lead["unit"] == MILLIVOLT}
    if not names:
        raise UnusableInput("the record has no ECG lead (none is in millivolts)")
    missing = [lead for lead in spec.required_leads if lead not in names]
    if missing:
        raise UnusableInput(
            f"the record lacks the leads {', '.join(missing)}; it has {', '.join(sorted(names))}"
        )
