"""What names a patient in a file is in nothing that is kept, logged, measured or answered."""

from __future__ import annotations

import binascii
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.filebase import DicomBytesIO
from sqlalchemy import text

from api.main import create_app
from services import tables
from services.db.session import SessionFactory
from services.settings import Settings
from services.telemetry import configure_logging
from tests import ecg_files
from tests.factories import parts
from tests.signals import made_files

NAME, BORN, WORDS = "Zzyzxdottir", "19310417", "Qwvfaint at breakfast"
MARKS = (NAME, BORN, WORDS, "Qwvfaint")


def dicom() -> bytes:
    whole = pydicom.dcmread(io.BytesIO(ecg_files.dicom()))
    whole.PatientName, whole.PatientBirthDate = f"{NAME}^Anna", BORN
    whole.PatientComments, whole.InstitutionName = WORDS, NAME
    whole.AccessionNumber, whole.PatientID = NAME[:16], BORN
    written = DicomBytesIO()
    whole.save_as(written)
    return bytes(written.getvalue())


def edf() -> bytes:
    content = bytearray(ecg_files.edf())
    content[8:88] = f"{BORN} F 17-APR-1931 {NAME}".encode().ljust(80)
    content[88:168] = f"Startdate X {WORDS}".encode().ljust(80)
    return bytes(content)


def edf_with_words() -> bytes:
    words = b"+1\x14\x14\0+1\x14" + WORDS.encode() + b"\x14\0"
    return ecg_files.edf_with_beats([b"+0\x14\x14\0", words])


def wfdb() -> dict[str, bytes]:
    files = made_files()
    (header,) = [name for name in files if name.endswith(".hea")]
    files[header] += f"# Name: {NAME} born {BORN}\n# {WORDS}\n".encode()
    words = np.array([(22 << 10) | 500, (63 << 10) | len(WORDS)], "<u2").tobytes()
    padded = WORDS.encode() + b"\0" * (len(WORDS) % 2)
    files[header.replace(".hea", ".atr")] = words + padded + b"\0\0"
    return files


def named(content: bytes) -> bytes:
    """The name in the elements of a file of the tests that hold a patient."""
    assert b"Doe" in content
    return content.replace(b"Doe", NAME.encode())


def ishne() -> bytes:
    content = bytearray(ecg_files.ishne())
    content[28 : 28 + len(NAME)] = NAME.encode()
    struct.pack_into("<H", content, 8, binascii.crc_hqx(bytes(content[10:522]), 0xFFFF))
    return bytes(content)


def fhir() -> bytes:
    observation = json.loads(ecg_files.fhir())
    observation["subject"] = {"display": NAME, "reference": f"Patient/{BORN}"}
    observation["note"] = [{"text": WORDS}]
    return json.dumps(observation).encode()


def matlab() -> bytes:
    return ecg_files.matlab(compressed=False, patient=NAME, comment=WORDS)


FILES: dict[str, dict[str, bytes]] = {
    "WFDB": wfdb(),
    "EDF": {"a.edf": edf()},
    "EDF+ with words": {"a.edf": edf_with_words()},
    "DICOM": {"a.dcm": dicom()},
    "MUSE": {"a.xml": named(ecg_files.muse())},
    "CardioSoft": {"a.xml": named(ecg_files.cardiosoft())},
    "aECG": {"a.xml": ecg_files.aecg().replace(b'v3">', f'v3"><name>{NAME}</name>'.encode(), 1)},
    "ISHNE": {"a.ecg": ishne()},
    "FHIR": {"a.json": fhir()},
    "JSON": {"a.json": ecg_files.json_leads(patient=NAME, comment=WORDS)},
    "Apple Watch": {"a.csv": named(ecg_files.apple_watch())},
    "MATLAB": {"a.mat": matlab()},
}


def kept(sessions: SessionFactory, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Every row as text, and every file."""
    with sessions() as session:
        for table in tables.metadata.sorted_tables:
            rows = session.scalars(text(f"select t::text from {table.name} t"))  # noqa: S608
            yield table.name, "\n".join(rows).encode()
    for path in Path(settings.data_dir).rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def spellings(mark: str) -> list[bytes]:
    """As it may lie in a file: bytes, or an array's four-byte characters."""
    return [mark.encode(), mark.encode("utf-16-le"), mark.encode("utf-32-le")]


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("kind", FILES)
def test_a_patient_s_name_goes_no_further_than_the_door(
    settings: Settings,
    sessions: SessionFactory,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    damaged: bool,
) -> None:
    files = dict(FILES[kind])
    assert any(spelling in b"".join(files.values()) for m in MARKS for spelling in spellings(m))
    if damaged:
        largest = max(files, key=lambda name: len(files[name]))
        files[largest] = files[largest][: len(files[largest]) * 2 // 3]
    talkative = settings.model_copy(update={"log_level": "DEBUG"})
    with TestClient(create_app(talkative), client=("127.0.0.1", 1)) as client:
        answer = client.post("/v1/records", files=parts(files))
        assert answer.status_code == 201 or damaged, answer.text
        said = [answer.text, client.get("/metrics").text, client.get("/v1/audit").text]
        if answer.status_code == 201:
            said.append(client.get(f"/v1/records/{answer.json()['id']}/annotations").text)
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    captured = capfd.readouterr()
    said += [captured.out, captured.err]
    for mark in MARKS:
        assert not [one for one in said if mark in one]
        for where, content in kept(sessions, settings):
            assert not any(spelling in content for spelling in spellings(mark)), (where, mark)


def test_free_text_is_kept_where_a_site_says_so(settings: Settings) -> None:
    keeping = settings.model_copy(update={"keep_free_text": True})
    with TestClient(create_app(keeping), client=("127.0.0.1", 1)) as client:
        record = client.post("/v1/records", files=parts(wfdb())).json()["id"]
        found = client.get(f"/v1/records/{record}/annotations").json()
    assert WORDS in [one["note"] for one in found]
