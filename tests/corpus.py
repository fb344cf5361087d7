"""Broken and malicious uploads, made here: each with the answer that it must get."""

from __future__ import annotations

import base64
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests import ecg_files

RATE_HZ = 360
N_SAMPLES = 3600
GAIN = 200

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class BadUpload:
    """files: what is sent, by name; says: a part of the detail that the sender must see."""

    name: str
    files: Mapping[str, bytes]
    status: int
    says: str


def made_ecg(n_samples: int = N_SAMPLES, *, rate_hz: int = RATE_HZ, leads: int = 2) -> np.ndarray:
    """(n_samples, leads) int16 ADC values: a beat every 0.8 s, each lead a different size."""
    phase_s = np.arange(n_samples) / rate_hz % 0.8
    waves = ((0.2, 0.02, 0.15), (0.36, 0.01, 1.0), (0.38, 0.01, -0.3), (0.6, 0.04, 0.3))
    beat = sum(size * np.exp(-(((phase_s - at) / width) ** 2)) for at, width, size in waves)
    return np.round(np.outer(beat, 1 + np.arange(leads)) * GAIN / leads).astype("<i2")


def header(
    name: str = "rec",
    *,
    n_signals: object = 2,
    rate: object = RATE_HZ,
    n_samples: object = N_SAMPLES,
    file: str = "rec.dat",
    storage: object = 16,
    gain: object = f"{GAIN}(0)/mV",
    leads: tuple[str, ...] = ("MLII", "V1"),
) -> bytes:
    """A header in which any field can be anything."""
    lines = [f"{name} {n_signals} {rate} {n_samples}"]
    lines += [f"{file} {storage} {gain} 16 0 0 0 0 {lead}" for lead in leads]
    return ("\n".join(lines) + "\n").encode()


def good_record(name: str = "rec") -> dict[str, bytes]:
    """Ten seconds of two leads, format 16."""
    return {
        f"{name}.hea": header(name, file=f"{name}.dat"),
        f"{name}.dat": made_ecg().tobytes(),
    }


def example_record() -> dict[str, bytes]:
    """The real record of the examples folder: five minutes, one lead."""
    return {
        f"208_excerpt.{e}": (EXAMPLES / f"208_excerpt.{e}").read_bytes() for e in ("hea", "dat")
    }


def flac_record() -> dict[str, bytes]:
    """Ten seconds of two leads, format 516."""
    packed = io.BytesIO()
    soundfile.write(packed, made_ecg(), RATE_HZ, subtype="PCM_16", format="FLAC")
    return {"rec.hea": header(storage=516), "rec.dat": packed.getvalue()}


def zipped(files: Mapping[str, bytes], *, folder: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return packed.getvalue()


def zip_with_link() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rec.hea", header())
        link = zipfile.ZipInfo("rec.dat")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return packed.getvalue()


def zip_with_repeated_name() -> bytes:
    return zipped({"a/rec.hea": header(), "b/rec.hea": header(), "a/rec.dat": b"12"})


def zip_encrypted() -> bytes:
    """A good archive whose entries are marked as encrypted, in both of its directories."""
    data = bytearray(zipped(good_record()))
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags_at] |= 1
            at = data.find(signature, at + 4)
    return bytes(data)


def zip_bomb(megabytes: int = 64) -> bytes:
    """Zeros, a thousand times smaller when packed."""
    return zipped({"rec.hea": header(), "rec.dat": bytes(megabytes * 1024 * 1024)})


def zip_of_many(n_files: int = 10_001) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(n_files):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    return packed.getvalue()


def zip_that_claims(n_entries: int, directory_bytes: int) -> bytes:
    """Only an end record, in the 64-bit form that can announce anything."""
    end_64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, n_entries, n_entries, directory_bytes, 0
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return b"PK\x03\x04" + end_64 + locator + end


def bad_uploads() -> list[BadUpload]:
    """Every kind of bad file; what is wrong with a request itself is the API's to test."""
    return [
        *_bad_files(),
        *_bad_headers(),
        *_bad_names(),
        *_bad_signals(),
        *_bad_zips(),
        *_bad_edf(),
        *_bad_xml(),
        *_bad_device_files(),
        *_bad_text(),
        *_bad_matlab(),
    ]


def _with(content: bytes) -> dict[str, bytes]:
    return good_record() | {"rec.hea": content}


def _bad_files() -> list[BadUpload]:
    good = good_record()
    short = good | {"rec.dat": good["rec.dat"][:-400]}
    two = good | good_record("other")
    other = {"rec.hea": good["rec.hea"], "rec.mp3": good["rec.dat"]}
    latin, at = good["rec.hea"] + b"# Ren\xe9\n", len(good["rec.hea"]) + 5
    cut = {"rec.zip": zipped(good)[:-200]}
    return [
        BadUpload("no file", {}, 400, "no file"),
        BadUpload("empty file", {"rec.hea": b""}, 400, "empty file: rec.hea"),
        BadUpload("empty data", good | {"rec.dat": b""}, 400, "empty file: rec.dat"),
        BadUpload("a picture", {"rec.png": b"\x89PNG\r\n\x1a\n" + bytes(64)}, 415, "WFDB"),
        BadUpload("text", {"notes.txt": b"the patient felt well\n"}, 415, "notes.txt"),
        BadUpload("wrong extension", other, 400, "line 2: the signal file rec.dat was not sent"),
        BadUpload("header without data", {"rec.hea": good["rec.hea"]}, 400, "rec.dat was not sent"),
        BadUpload("data without header", {"rec.dat": good["rec.dat"]}, 400, "without a header"),
        BadUpload("data too short", short, 400, "rec.dat is shorter than rec.hea says"),
        BadUpload("two records", two, 422, "2 records here (other, rec)"),
        BadUpload("header not UTF-8", _with(latin), 400, f"0xe9 at offset {at}"),
        BadUpload("damaged annotations", good | {"rec.atr": b"\x01\x04\x02"}, 400, "rec.atr"),
        BadUpload("archive cut off", cut, 400, "rec.zip"),
        BadUpload("binary header", _with(bytes(range(1, 128)) * 3), 400, "rec.hea"),
    ]  # fmt: skip


def _bad_headers() -> list[BadUpload]:
    many = header(n_signals=10_000, leads=("I",) * 10_000)
    return [
        BadUpload("comments only", _with(b"# nothing\n"), 400, "no record line"),
        BadUpload("no such field", _with(b"rec two 360 3600\n"), 400, "line 1: expected the nu"),
        BadUpload("too few lines", _with(header(n_signals=3)), 400, "3 signal lines announced, 2 "),
        BadUpload("10^9 samples", _with(header(n_samples=10**9)), 413, "1,000,000,000 samples"),
        BadUpload("10^15 samples", _with(header(n_samples=10**15 - 1)), 413, "at most"),
        BadUpload("10^40 samples", _with(header(n_samples=10**40)), 400, "number of samples"),
        BadUpload("-5 samples", _with(header(n_samples=-5)), 400, "number of samples, found '-5'"),
        BadUpload("0 leads", _with(header(n_signals=0, leads=())), 422, "announces no signal"),
        BadUpload("10,000 leads", _with(many), 413, "10000 signals announced, at most 64"),
        BadUpload("negative rate", _with(header(rate=-360)), 422, "above 0 Hz, found -360"),
        BadUpload("zero rate", _with(header(rate=0)), 422, "above 0 Hz, found 0"),
        BadUpload("rate NaN", _with(header(rate="nan")), 400, "sampling rate in Hz, found 'nan'"),
        BadUpload("rate 10^300", _with(header(rate="1e300")), 422, "1e+300 Hz"),
        BadUpload("rate 0.001", _with(header(rate="0.001")), 422, "0.001 Hz"),
        BadUpload("gain 0", _with(header(gain="0(0)/mV")), 422, "line 2: a gain of 0"),
        BadUpload("gain 1e-300", _with(header(gain="1e-300/mV")), 422, "not credible"),
        BadUpload("gain in words", _with(header(gain="lots")), 400, "expected a gain"),
        BadUpload("unknown storage", _with(header(storage=213)), 400, "storage format 213"),
        BadUpload("10^6 samples a frame", _with(header(storage="16x999999")), 422, "3.6e+08 Hz"),
        BadUpload("offset beyond the end", _with(header(storage="16+999999999")), 400, "hold 0"),
    ]  # fmt: skip


def _bad_names() -> list[BadUpload]:
    names = (
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\etc\\passwd",
        "C:\\windows\\win.ini",
        "http://127.0.0.1:9/rec.dat",
        "s3://bucket/rec.dat",
        "file:///etc/passwd",
        "..",
    )
    signals = [
        BadUpload(f"signal file {n}", _with(header(file=n)), 400, "line 2: '") for n in names
    ]
    segments = [
        BadUpload(
            f"segment {n}",
            good_record() | {"all.hea": f"all/2 2 360 7200\n{n} 3600\nrec 3600\n".encode()},
            400,
            "all.hea, line 2: '",
        )
        for n in ("../../etc/passwd", "/etc/passwd", "http://127.0.0.1:9/rec")
    ]
    circle = {"a.hea": b"a/1 2 360 3600\nb 3600\n", "b.hea": b"b/1 2 360 3600\na 3600\n"}
    deep = circle | {"c.hea": b"c/1 2 360 3600\na 3600\n"}
    repeated = good_record() | {"all.hea": b"all/2 2 360 7200\nrec 3600\nrec 3600\n"}
    return [
        *signals,
        *segments,
        BadUpload("segment repeated", repeated, 400, "line 3: segment rec is there twice"),
        BadUpload("segments in a circle", circle, 400, "is a segment of another"),
        BadUpload("segments of segments", deep, 400, "segment a has segments itself"),
    ]


def _bad_signals() -> list[BadUpload]:
    good, flac = good_record(), flac_record()
    three = flac | {"rec.hea": header(n_signals=3, storage=516, leads=("I", "II", "III"))}
    mixed = flac["rec.hea"].replace(b"516", b"516x2", 1)
    missing, flat = np.full((N_SAMPLES, 2), -32768, "<i2"), np.full((N_SAMPLES, 2), 7, "<i2")
    brief = {"rec.hea": header(n_samples=180), "rec.dat": made_ecg(180).tobytes()}
    return [
        BadUpload("NaN only", good | {"rec.dat": missing.tobytes()}, 422, "all are missing"),
        BadUpload("no FLAC", _with(header(storage=516)), 400, "rec.dat is not a FLAC file"),
        BadUpload("FLAC of fewer", three, 400, "has 2 channels, the header gives it 3 signals"),
        BadUpload("FLAC of two rates", flac | {"rec.hea": mixed}, 400, "same samples per frame"),
        BadUpload("FLAC too wide", flac | {"rec.hea": header(storage=508)}, 400, "as format 508"),
        BadUpload("FLAC cut off", flac | {"rec.dat": flac["rec.dat"][:2000]}, 400, "rec.dat"),
        BadUpload("flat", good | {"rec.dat": flat.tobytes()}, 422, "MLII is flat"),
        BadUpload("0.5 s", brief, 422, "lasts 0.5 s"),
        BadUpload("pressure only", _with(header(gain="200/mmHg")), 422, "no ECG lead"),
    ]


def _bad_zips() -> list[BadUpload]:
    good = good_record()
    up, root = zipped({"../rec.hea": header()}), zipped({"/etc/rec.hea": header()})
    two = good | {"rec.zip": zipped(good)}
    return [
        BadUpload("zip leads out", {"r.zip": up}, 400, "leads out of the archive"),
        BadUpload("zip from the root", {"r.zip": root}, 400, "leads out of the archive"),
        BadUpload("zip bomb", {"r.zip": zip_bomb()}, 413, "more than 100 times"),
        BadUpload("zip of zips", {"r.zip": zipped({"rec.zip": zipped(good)})}, 400, "inside of"),
        BadUpload("zip with a link", {"r.zip": zip_with_link()}, 400, "rec.dat is a link"),
        BadUpload("zip, same name twice", {"r.zip": zip_with_repeated_name()}, 400, "rec.hea"),
        BadUpload("zip with password", {"r.zip": zip_encrypted()}, 400, "encrypted"),
        BadUpload("zip of many", {"r.zip": zip_of_many()}, 413, "10,001 files"),
        BadUpload("zip claims much", {"r.zip": zip_that_claims(2**40, 2**46)}, 413, "lists"),
        BadUpload("empty zip", {"r.zip": zipped({})}, 400, "without a file"),
        BadUpload("zip of text", {"r.zip": zipped({"a.txt": b"hello"})}, 415, "a.txt"),
        BadUpload("zip and files", two, 400, "send the archive alone"),
        BadUpload("two records in a zip", {"r.zip": zipped(good | good_record("b"))}, 422, "2 rec"),
    ]


def _bad_edf() -> list[BadUpload]:
    good, lists = ecg_files.edf(), [b"+0\x14\x14\0", b"+1\x14"]
    flat = (("ECG I", "uV", 250),) * 2

    def bad(name: str, content: bytes, status: int, says: str) -> BadUpload:
        return BadUpload(f"EDF {name}", {"a.edf": content}, status, says)

    return [
        bad("cut off", good[:-3], 400, "2 data records of 1,000 bytes, 1,997 bytes follow"),
        bad("too long", good + b"\0\0", 400, "2,002 bytes follow its header"),
        bad("cut in the header", good[:500], 400, "cut off inside its header"),
        bad("of 10^9 data records", ecg_files.edf(n_records=99_999_999), 413, "99,999,999 data"),
        bad("of no data records", ecg_files.edf(n_records=0), 400, "0 data records"),
        bad("of -5 data records", ecg_files.edf(n_records=-5), 400, "-5 data records"),
        bad("of words", ecg_files.edf(n_records="many"), 400, "number of data records: expected"),
        bad("of NaN seconds", ecg_files.edf(duration="nan"), 400, "duration of a data record"),
        bad("of 0 seconds", ecg_files.edf(duration=0), 422, "data records of 0 s"),
        bad("of 1e-9 seconds", ecg_files.edf(duration="1e-9"), 422, "data records of 1e-09 s"),
        bad("of 10^6 seconds", ecg_files.edf(duration="1000000"), 422, "a sampling rate of"),
        bad("of 10^300 volts", ecg_files.edf(physical=("-1e300", "1e300")), 422, "are damaged"),
        bad("without a scale", ecg_files.edf(physical=(5, 5)), 400, "which gives no scale"),
        bad("upside down", ecg_files.edf(digital=(9, -9)), 400, "which gives no scale"),
        bad("of 65 leads", ecg_files.edf(signals=flat[:1] * 65), 400, "bytes follow its header"),
        bad("of 9000 leads", good[:252] + b"9000" + good[256:], 413, "announces 9000 signals"),
        bad("of huge records", ecg_files.edf(signals=(("I", "mV", 99_999_999),)), 413, "at most"),
        bad("with damaged texts", ecg_files.edf_with_beats(lists), 400, "annotations are damaged"),
        bad("without times", ecg_files.edf_with_beats([b"", b""]), 400, "do not begin with its ti"),
    ]  # fmt: skip


def _bad_xml() -> list[BadUpload]:
    entities = "".join(
        f'<!ENTITY {b} "{("&" + a + ";") * 10}">'
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    laughs = f'<!DOCTYPE RestingECG [<!ENTITY a "ha">{entities}]>'
    outside = '<!DOCTYPE RestingECG [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    deep = b"<RestingECG>" + b"<a>" * 100_000
    wide = b"<AnnotatedECG>" + b"<a/>" * 200_001 + b"</AnnotatedECG>"
    large = b"<CardiologyXML>" + b" " * (16 * 1024 * 1024) + b"</CardiologyXML>"
    attributes = b" ".join(b'a%d="1"' % i for i in range(101))
    encoding = b'<?xml version="1.0" encoding="x-none"?><CardiologyXML></CardiologyXML>'

    def bad(name: str, content: bytes, status: int, says: str) -> BadUpload:
        return BadUpload(f"XML {name}", {"a.xml": content}, status, says)

    return [
        bad("bomb", ecg_files.muse(prolog=laughs), 400, "declares entities"),
        bad("that opens a file", ecg_files.muse(prolog=outside), 400, "declares entities"),
        bad("100,000 deep", deep, 413, "elements inside of more than 64 others"),
        bad("of 200,001 elements", wide, 413, "more than 200,000 elements"),
        bad("of 101 attributes", b"<RestingECG " + attributes + b"/>", 413, "101 attributes"),
        bad("of 16 MB", large, 413, "16,777,247 bytes"),
        bad("not closed", ecg_files.aecg()[:-20], 400, "line 1, column"),
        bad("in an unknown encoding", encoding, 400, "encoding"),
        bad("of something else", b"<html><body>hello</body></html>", 415, "a.xml"),
    ]


def _bad_device_files() -> list[BadUpload]:
    xli = _xli_bomb()
    huge = "111111111111," * 500
    ishne, dicom, deflated = ecg_files.ishne, ecg_files.dicom, "1.2.840.10008.1.2.1.99"
    blind = ecg_files.cardiosoft(resolution=0)
    return [
        BadUpload("ISHNE cut off", {"a": ishne()[:-2]}, 400, "1,998 bytes follow its header"),
        BadUpload("ISHNE too long", {"a": ishne() + b"1234"}, 400, "2,004 bytes follow"),
        BadUpload("ISHNE 10^9", {"a": ishne(n_samples=10**9)}, 400, "announces 1,000,000,000"),
        BadUpload("ISHNE of 99 leads", {"a": ishne(n_leads=99)}, 400, "99 leads announced"),
        BadUpload("ISHNE checksum", {"a": ishne(right_checksum=False)}, 400, "the checksum"),
        BadUpload("ISHNE rate -1", {"a": ishne(rate_hz=-1)}, 422, "a sampling rate of -1 Hz"),
        BadUpload("ISHNE header only", {"a": ishne()[:100]}, 400, "no whole ISHNE header"),
        BadUpload("SCP of a byte", {"a.scp": b"\x00"}, 400, "a.scp has 1 bytes"),
        BadUpload("SCP without pointers", {"a.scp": bytes(8)}, 400, "a.scp has 8 bytes"),
        BadUpload("SCP cut off", {"a.scp": ecg_files.scp()[:-9]}, 400, "a.scp announces"),
        BadUpload("SCP 10^9", {"a.scp": ecg_files.scp(n_samples=10**9)}, 413, "1,000,000,000 sam"),
        BadUpload("SCP of beats", {"a.scp": ecg_files.scp(n_beats=60_000)}, 413, "1000 beats"),
        BadUpload("SCP checksum", {"a": ecg_files.scp(right_checksum=False)}, 400, "checksum"),
        BadUpload("DICOM 10^9", {"a.dcm": dicom(n_samples=10**9)}, 400, "1,000,000,000 samples"),
        BadUpload("DICOM of 10,001", {"a": dicom() + _dicom_elements()}, 413, "DICOM elements"),
        BadUpload("DICOM deflated", {"a.dcm": dicom(syntax=deflated)}, 422, "deflated DICOM"),
        BadUpload("DICOM cut off", {"a.dcm": dicom()[:-300]}, 400, "a.dcm"),
        BadUpload("DICOM of 9 MB", {"a": dicom() + bytes(1 << 23)}, 413, "are read of DICOM"),
        BadUpload("MUSE of fewer", {"a": ecg_files.muse(n_samples=499)}, 400, "499 but 500 sam"),
        BadUpload("MUSE without volts", {"a": ecg_files.muse(units="COUNTS")}, 422, "how many"),
        BadUpload("aECG at rate 0", {"a": ecg_files.aecg(increment=0)}, 400, "time increment"),
        BadUpload("aECG at 10^12 Hz", {"a": ecg_files.aecg(increment=1e-12)}, 422, "1e+12 Hz"),
        BadUpload("Sierra of 10^9", {"a": ecg_files.sierra(duration_ms=10**12)}, 400, "expected"),
        BadUpload("Sierra bomb", {"a": ecg_files.sierra(text=xli, compression="XLI")}, 413, "pack"),
        BadUpload("CardioSoft 10^9", {"a": ecg_files.cardiosoft(n_samples=10**9)}, 413, "1,000,0"),
        BadUpload("CardioSoft fewer", {"a": ecg_files.cardiosoft(n_samples=501)}, 400, "501 annou"),
        BadUpload("CardioSoft words", {"a": ecg_files.cardiosoft(wave="x," * 500)}, 400, "number"),
        BadUpload("CardioSoft huge", {"a": ecg_files.cardiosoft(wave=huge)}, 400, "number"),
        BadUpload("CardioSoft 1e99", {"a": ecg_files.cardiosoft(resolution=1e99)}, 422, "damaged"),
        BadUpload("CardioSoft scale 0", {"a": blind}, 400, "Resolution: expected volts a count"),
    ]  # fmt: skip


def _dicom_elements() -> bytes:
    """10,001 private elements without a value."""
    return b"".join(struct.pack("<HH2sH", 0x5501, 0x1000 + i, b"LO", 0) for i in range(10_001))


def _xli_bomb() -> str:
    """LZW codes that each repeat the longest string so far: 12 kB for 9 MB."""
    codes = [0, *range(256, 1023), *([1021] * 11_000)]
    bits = "".join(f"{code:010b}" for code in codes)
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return base64.b64encode(struct.pack("<iHh", len(packed), 0, 0) + packed).decode()


def _bad_text() -> list[BadUpload]:
    table, watch = ecg_files.csv(), ecg_files.apple_watch
    long_number = b'{"sampling_rate": 250, "leads": {"I": [' + b"9" * 400 + b"]}}"
    one, bundle = ecg_files.json_leads(leads={}), b'{"resourceType": "Bundle"}'
    wide = ((",".join(["1"] * 2000) + "\n") * 3).encode()
    times = b"time_s,I\n" + b"0.1,1\n" * 300
    no_rate = ecg_files.csv(names=("a", "I", "II"))
    return [
        BadUpload("CSV without a rate", {"a.csv": no_rate}, 422, "send it as sampling_rate_hz"),
        BadUpload("CSV of words", {"a.csv": b"I,II\na,b\nc,d\n"}, 400, "no rows of numbers"),
        BadUpload("CSV cut in a row", {"a.csv": table + b"2.0000,0.1\n,,,,\n"}, 400, "line 503"),
        BadUpload("CSV of 2000 columns", {"a.csv": wide}, 413, "in 2,000 columns"),
        BadUpload("CSV, time ends", {"a.csv": table + b"inf,0,0\n"}, 400, "does not rise"),
        BadUpload("CSV, time jumps", {"a.csv": table + b"1e9,0,0\n"}, 422, "not evenly spaced"),
        BadUpload("CSV, time stands still", {"a.csv": times}, 400, "time column does not rise"),
        BadUpload("CSV, infinite", {"a.csv": table + b"2.0000,inf,0\n"}, 422, "inf"),
        BadUpload("watch at no rate", {"a.csv": watch(rate="fast")}, 400, "Sample Rate: expected"),
        BadUpload("watch in mm", {"a.csv": watch(unit="mm")}, 400, "Unit: expected uV"),
        BadUpload("JSON cut off", {"a.json": ecg_files.json_leads()[:-9]}, 400, "a.json, line 1"),
        BadUpload("JSON, deep", {"a.json": b'{"a":' * 100_000}, 400, "a.json, line 1"),
        BadUpload("JSON without leads", {"a.json": one}, 400, "expected `leads`"),
        BadUpload("JSON, 400 digits", {"a.json": long_number}, 400, "a.json"),
        BadUpload("FHIR bundle", {"a.json": bundle}, 422, "a FHIR Bundle"),
        BadUpload("FHIR of words", {"a.json": ecg_files.fhir(data="a b")}, 400, "not a number"),
    ]  # fmt: skip


def _bad_matlab() -> list[BadUpload]:
    good, plain = ecg_files.matlab(), ecg_files.matlab(compressed=False)
    level_4 = struct.pack("<5i", 30, 2**31 - 1, 2**31 - 1, 0, 4) + b"val\0" + bytes(64)
    hdf5 = b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(64)
    return [
        BadUpload("MATLAB cut off", {"a.mat": good[:-20]}, 400, "a.mat"),
        BadUpload("MATLAB cut off, plain", {"a.mat": plain[:-20]}, 400, "a.mat"),
        BadUpload("MATLAB 7.3", {"a.mat": hdf5}, 422, "save it with -v7"),
        BadUpload("MATLAB 2^62 numbers", {"a.mat": level_4}, 400, "2,147,483,647 by"),
        BadUpload("MATLAB bomb", {"a.mat": _matlab_bomb()}, 413, "unpacks to more than"),
        BadUpload("MATLAB without ECG", {"a.mat": _matlab_of(b"text")}, 422, "none of its variab"),
    ]


def _matlab_of(text: bytes) -> bytes:
    """A file whose only variable is a text."""
    flags, shape = struct.pack("<4I", 6, 8, 4, 0), struct.pack("<4I", 5, 8, 1, len(text))
    name = struct.pack("<2I8s", 1, 1, b"a")
    body = flags + shape + name + struct.pack("<2I", 2, len(text)) + text + bytes(-len(text) % 8)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    return head + struct.pack("<2I", 14, len(body)) + body


def _matlab_bomb() -> bytes:
    """A compressed element of 257 MB of zeros: one packed megabyte, again and again."""
    packer = zlib.compressobj(9)
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = start + megabyte * 257
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    return head + struct.pack("<2I", 15, len(packed)) + packed
