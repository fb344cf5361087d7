"""Any format that the readers know goes in as one file, by its content."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests import ecg_files
from tests.factories import parts


@pytest.mark.parametrize("kind", ecg_files.GOOD)
def test_one_file_of_any_format_becomes_a_record(api: TestClient, kind: str) -> None:
    name, make = ecg_files.GOOD[kind]
    answer = api.post("/v1/records", files=parts({name: make()}))
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert record["format"] == kind
    assert record["sampling_rate_hz"] == ecg_files.RATE_HZ
    assert record["leads"][0] == {"name": "I", "unit": "mV"}
    signal = api.get(f"/v1/records/{record['id']}/signal", params={"lead": "I"}).json()
    values = signal["leads"][0]["value"]
    assert values == pytest.approx(ecg_files.made_mv()[0].tolist(), abs=1e-5)


def test_the_request_says_what_a_file_does_not(api: TestClient) -> None:
    content = ecg_files.csv(names=())
    fields = {"leads": "V1,V2", "units": "uV"}
    record = api.post("/v1/records", files=parts({"a.csv": content}), data=fields).json()
    assert [lead["name"] for lead in record["leads"]] == ["V1", "V2"]
    assert record["sampling_rate_hz"] == 250.0


def test_beats_in_edf_are_reference_annotations(api: TestClient) -> None:
    content = ecg_files.edf_with_beats(
        [b"+0\x14\x14\0+0.4\x14N\x14\0", b"+1\x14\x14\0+1.2\x14V\x14\0"]
    )
    record = api.post("/v1/records", files=parts({"a.edf": content})).json()
    assert record["has_annotations"]
    found = api.get(f"/v1/records/{record['id']}/annotations").json()
    assert [(note["sample"], note["symbol"]) for note in found] == [(100, "N"), (300, "V")]
