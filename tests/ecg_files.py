"""Small good files in every format that is read, made here from samples that are known."""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import scipy.io

RATE_HZ = 250
N_SAMPLES = 500
LEADS = ("I", "II")
STEP_MV = 0.005  # every sample is a multiple of it, so that every format holds it exactly


def made_counts() -> np.ndarray:
    """(2, 500) int16: a beat every 0.8 s, in steps of 5 microvolts."""
    phase_s = np.arange(N_SAMPLES) / RATE_HZ % 0.8
    beat = np.exp(-(((phase_s - 0.36) / 0.02) ** 2)) - 0.2 * np.exp(
        -(((phase_s - 0.4) / 0.02) ** 2)
    )
    return np.round(np.outer((200, 120), beat)).astype("<i2")


def made_mv() -> np.ndarray:
    """(2, 500) float32, what every file here holds."""
    return (made_counts() * STEP_MV).astype(np.float32)


def field(text: object, width: int) -> bytes:
    return str(text).ljust(width).encode("ascii")[:width]


def edf(
    *,
    signals: Sequence[tuple[str, str, int]] = (("ECG I", "uV", 250), ("ECG II", "uV", 250)),
    data: bytes | None = None,
    n_records: object = 2,
    duration: object = 1,
    reserved: str = "",
    width: int = 2,
    physical: tuple[object, object] = (-163840, 163835),
    digital: tuple[object, object] = (-32768, 32767),
) -> bytes:
    """Two data records of a second; any field of the header can be anything."""
    n = len(signals)
    version = b"\xffBIOSEMI" if width == 3 else field("0", 8)
    head = version + field("Doe John 01-JAN-1950", 80) + field("Startdate X", 80)
    head += field("02.03.26", 8) + field("13.05.00", 8) + field(256 * (n + 1), 8)
    head += field(reserved, 44) + field(n_records, 8) + field(duration, 8) + field(n, 4)
    columns = [[field(label, 16) for label, _, _ in signals], [field("", 80)] * n]
    columns += [[field(unit, 8) for _, unit, _ in signals]]
    columns += [[field(value, 8)] * n for value in (*physical, *digital)]
    columns += [[field("", 80)] * n, [field(per, 8) for _, _, per in signals], [field("", 32)] * n]
    return (
        head
        + b"".join(b"".join(column) for column in columns)
        + (data if data is not None else edf_samples(width))
    )


def edf_samples(width: int = 2) -> bytes:
    """Two data records: 250 samples of each lead, one lead after the other."""
    records = made_counts().reshape(2, 2, 250).swapaxes(0, 1)
    if width == 2:
        return records.tobytes()
    return records.astype("<i4").reshape(-1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def edf_with_beats(lists: Sequence[bytes], *, reserved: str = "EDF+C") -> bytes:
    """Each data record with its annotation list, 60 bytes."""
    counts, data = made_counts().reshape(2, 2, 250), b""
    for record, texts in enumerate(lists):
        data += counts[:, record].tobytes() + texts.ljust(60, b"\0")
    signals = (("ECG I", "uV", 250), ("ECG II", "uV", 250), ("EDF Annotations", "", 30))
    return edf(signals=signals, data=data, reserved=reserved)


def ishne(
    *,
    n_leads: int = 2,
    n_samples: int = N_SAMPLES,
    codes: tuple[int, ...] = (5, 6),
    rate_hz: int = RATE_HZ,
    right_checksum: bool = True,
) -> bytes:
    head = bytearray(522)
    struct.pack_into("<4i", head, 10, 0, n_samples, 522, 522)
    head[28:32] = b"JOHN"
    struct.pack_into("<9h", head, 138, 2, 3, 2026, 2, 3, 2026, 13, 5, 0)
    struct.pack_into("<h", head, 156, n_leads)
    struct.pack_into("<2h", head, 158, *codes)
    struct.pack_into("<2h", head, 206, 5000, 5000)
    struct.pack_into("<h", head, 272, rate_hz)
    head[:8] = b"ISHNE1.0"
    checksum = binascii.crc_hqx(bytes(head[10:]), 0xFFFF)
    struct.pack_into("<H", head, 8, checksum if right_checksum else checksum ^ 1)
    return bytes(head) + made_counts().T.tobytes()


def muse(*, n_samples: object = N_SAMPLES, prolog: str = "", units: str = "MICROVOLTS") -> bytes:
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>{len(row.tobytes())}</LeadByteCountTotal>"
        f"<LeadSampleCountTotal>{n_samples}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>5</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>{units}</LeadAmplitudeUnits><LeadID>{name}</LeadID>"
        f"<WaveFormData>{base64.b64encode(row.tobytes()).decode()}</WaveFormData></LeadData>"
        for name, row in zip(LEADS, made_counts(), strict=True)
    )
    return (
        f'<?xml version="1.0"?>{prolog}<RestingECG><PatientDemographics><PatientLastName>Doe'
        "</PatientLastName></PatientDemographics><Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleBase>{RATE_HZ}</SampleBase>{leads}</Waveform></RestingECG>"
    ).encode()


def aecg(*, increment: object = 0.004, unit: str = "uV") -> bytes:
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{name}"/><value>'
        f'<origin value="0" unit="{unit}"/><scale value="5" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, row.tolist()))}</digits></value></sequence></component>"
        for name, row in zip(LEADS, made_counts(), strict=True)
    )
    return (
        '<AnnotatedECG xmlns="urn:hl7-org:v3"><component><series><code code="RHYTHM"/>'
        '<component><sequenceSet><component><sequence><code code="TIME_RELATIVE"/><value>'
        f'<head value="0" unit="s"/><increment value="{increment}" unit="s"/></value></sequence>'
        f"</component>{sequences}</sequenceSet></component></series></component></AnnotatedECG>"
    ).encode()


def sierra(*, duration_ms: object = 2000, text: str | None = None, compression: str = "") -> bytes:
    data = text if text is not None else base64.b64encode(made_counts().tobytes()).decode()
    packed = f' compression="{compression}"' if compression else ""
    return (
        "<restingecgdata><documentinfo><documenttype>SierraECG</documenttype>"
        "<documentversion>1.04</documentversion></documentinfo>"
        f'<waveforms><parsedwaveforms samplespersecond="{RATE_HZ}" resolution="5" numberofleads="2"'
        f' durationperchannel="{duration_ms}" leadlabels="I II" dataencoding="Base64"{packed}>'
        f"{data}</parsedwaveforms></waveforms></restingecgdata>"
    ).encode()


def cardiosoft(*, n_samples: object = N_SAMPLES, resolution: object = 5, wave: str = "") -> bytes:
    rows = [",".join(map(str, row.tolist())) for row in made_counts()]
    waves = "".join(
        f'<WaveformData lead="{name}">{wave or row}</WaveformData>'
        for name, row in zip(LEADS, rows, strict=True)
    )
    return (
        '<?xml version="1.0" encoding="ISO8859-1" ?><CardiologyXML><ObservationDateTime>'
        "<Hour>13</Hour><Minute>5</Minute><Second>0</Second><Day>2</Day><Month>3</Month>"
        "<Year>2026</Year></ObservationDateTime><PatientInfo><Name>Doe</Name></PatientInfo>"
        f'<StripData><NumberOfLeads>2</NumberOfLeads><SampleRate units="Hz">{RATE_HZ}</SampleRate>'
        f"<ChannelSampleCountTotal>{n_samples}</ChannelSampleCountTotal>"
        f'<Resolution units="uVperLsb">{resolution}</Resolution>{waves}</StripData></CardiologyXML>'
    ).encode("latin-1")


def scp(*, n_samples: int = N_SAMPLES, right_checksum: bool = True, n_beats: int = 0) -> bytes:
    """Sections 0, 3, 4 and 6 without compression; amplitudes in units of 5000 nV."""
    counts = made_counts()
    bodies = {
        3: struct.pack("<BB", 2, 4 | 2 << 3)
        + b"".join(struct.pack("<IIB", 1, n_samples, code) for code in (1, 2)),
        4: struct.pack("<3H", 0, 0, n_beats),
        6: struct.pack("<HHBB2H", 5000, 4000, 0, 0, 1000, 1000) + counts.tobytes(),
    }
    pointers, sections, at = b"", b"", 6 + 16 + 12 * 10
    for number in range(12):
        body = bodies.get(number)
        if number == 0:
            pointers += struct.pack("<HII", 0, 16 + 120, 7)
        elif body is None:
            pointers += struct.pack("<HII", number, 0, 0)
        else:
            section = struct.pack("<HIBB6x", number, 16 + len(body), 20, 20) + body
            pointers += struct.pack("<HII", number, len(section) + 2, at + 1)
            sections += struct.pack("<H", binascii.crc_hqx(section, 0xFFFF)) + section
            at += len(section) + 2
    directory = struct.pack("<HIBB", 0, 136, 20, 20) + b"SCPECG" + pointers
    directory = struct.pack("<H", binascii.crc_hqx(directory, 0xFFFF)) + directory
    whole = struct.pack("<I", 6 + len(directory) + len(sections)) + directory + sections
    checksum = binascii.crc_hqx(whole, 0xFFFF)
    return struct.pack("<H", checksum if right_checksum else checksum ^ 1) + whole


def dicom(*, n_samples: int = N_SAMPLES, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A 12-lead ECG object with two channels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import UID

        channels = []
        for code, meaning in (("2:1", "Lead I"), ("2:2", "Lead II")):
            source, unit, channel = Dataset(), Dataset(), Dataset()
            source.CodeValue, source.CodingSchemeDesignator = code, "MDC"
            source.CodeMeaning = meaning
            unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "uV"
            channel.ChannelSourceSequence = [source]
            channel.ChannelSensitivity, channel.ChannelSensitivityUnitsSequence = "5", [unit]
            channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "0"
            channel.WaveformBitsStored = 16
            channels.append(channel)
        wave = Dataset()
        wave.WaveformOriginality, wave.NumberOfWaveformChannels = "ORIGINAL", 2
        wave.NumberOfWaveformSamples, wave.SamplingFrequency = n_samples, str(RATE_HZ)
        wave.WaveformBitsAllocated, wave.WaveformSampleInterpretation = 16, "SS"
        wave.ChannelDefinitionSequence = channels
        wave.add_new(0x54001010, "OW", made_counts().T.tobytes())
        whole = Dataset()
        whole.PatientName, whole.WaveformSequence = "Doe^John", [wave]
        whole.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.9.1.1")
        whole.SOPInstanceUID = UID("1.2.3")
        whole.AcquisitionDateTime = "20260302130500"
        whole.file_meta = FileMetaDataset()
        whole.file_meta.TransferSyntaxUID = UID(syntax)
        whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID
        whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
        target = io.BytesIO()
        whole.save_as(target, enforce_file_format=True)
    return target.getvalue()


def csv(
    *, names: Sequence[str] = ("time_s", *LEADS), delimiter: str = ",", comma: bool = False
) -> bytes:
    rows = [delimiter.join(names)] if names else []
    for number, row in enumerate(made_mv().T):
        rows.append(delimiter.join([f"{number / RATE_HZ:.4f}", *(f"{value:.3f}" for value in row)]))
    text = "\n".join(rows) + "\n"
    return (text.replace(".", ",") if comma else text).encode()


def json_leads(**changes: object) -> bytes:
    leads = {name: row.tolist() for name, row in zip(LEADS, made_mv().astype(float), strict=True)}
    return json.dumps({"sampling_rate": RATE_HZ, "units": "mV", "leads": leads} | changes).encode()


def fhir(*, code: str = "131329", data: str | None = None, **changes: object) -> bytes:
    def component(number: int, row: np.ndarray) -> dict[str, object]:
        sampled = {"origin": {"value": 0, "unit": "uV"}, "period": 4, "factor": 5, "dimensions": 1}
        text = data if data is not None else " ".join(map(str, row.tolist()))
        coding = {"system": "urn:oid:2.16.840.1.113883.6.24", "code": str(int(code) + number)}
        return {
            "code": {"coding": [coding]},
            "valueSampledData": sampled | {"data": text} | changes,
        }

    body = {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"display": "John Doe"},
        "effectiveDateTime": "2026-03-02T13:05:00Z",
        "component": [component(i, row) for i, row in enumerate(made_counts())],
    }
    return json.dumps(body).encode()


def apple_watch(*, rate: str = "250 hertz", unit: str = "µV") -> bytes:
    lines = ["Name,John Doe", "Recorded Date,2026-03-02 13:05:00 +0000", f"Sample Rate,{rate}"]
    lines += ["", "", "Lead,Lead I", f"Unit,{unit}", ""]
    lines += [f"{value * 1000:.3f}" for value in made_mv()[0]]
    return ("\n".join(lines) + "\n").encode()


def matlab(*, compressed: bool = True, version: str = "5", **changes: object) -> bytes:
    target = io.BytesIO()
    fields = {"sex": "Male", "data": made_mv(), "fs": float(RATE_HZ), "units": "mV"} | changes
    names = np.array(["I", "II"], dtype=object)
    values = fields if version == "4" else {"ECG": fields | {"leads": names}}
    scipy.io.savemat(target, values, format=version, do_compression=compressed)
    return target.getvalue()


GOOD: Mapping[str, tuple[str, Callable[[], bytes]]] = MappingProxyType(
    {
        "edf": ("a.edf", edf),
        "bdf": ("a.bdf", lambda: edf(width=3)),
        "ishne": ("a.ecg", ishne),
        "ge-muse": ("a.xml", muse),
        "hl7-aecg": ("a.xml", aecg),
        "philips-sierra": ("a.xml", sierra),
        "ge-cardiosoft": ("a.xml", cardiosoft),
        "scp-ecg": ("a.scp", scp),
        "dicom": ("a.dcm", dicom),
        "csv": ("a.csv", csv),
        "json": ("a.json", json_leads),
        "fhir": ("a.json", fhir),
        "apple-watch": ("a.csv", apple_watch),
        "matlab": ("a.mat", matlab),
    }
)
