"""Every bad upload: a clear problem, nothing stored, nothing broken."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from services.db.session import SessionFactory
from services.settings import Settings
from tests.corpus import BadUpload, bad_uploads
from tests.factories import assert_problem, counts, kept_files, parts, upload
from tests.processes import served
from tests.signals import made_files

NOTHING = {"records": 0, "predictions": 0, "jobs": 0}


@pytest.fixture
def clean(api: TestClient, settings: Settings, sessions: SessionFactory) -> Iterator[TestClient]:
    """The API; afterwards nothing may be stored, and it must still take a good record."""
    yield api
    assert counts(sessions) == NOTHING
    assert kept_files(settings) == []
    assert upload(api, made_files())["n_samples"] == 3600


@pytest.mark.parametrize("bad", bad_uploads(), ids=lambda bad: bad.name)
def test_a_bad_upload_is_refused_and_leaves_nothing(clean: TestClient, bad: BadUpload) -> None:
    answer = clean.post("/v1/records", files=parts(bad.files))
    assert_problem(answer, bad.status, bad.says)


@pytest.mark.parametrize("bad", bad_uploads(), ids=lambda bad: bad.name)
@pytest.mark.usefixtures("fake_model")
def test_a_bad_upload_is_refused_by_predict_too(clean: TestClient, bad: BadUpload) -> None:
    answer = clean.post("/v1/predict/beats", files=parts(bad.files))
    assert_problem(answer, bad.status, bad.says)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 201},
        {"patient_id": "a\x00b"},
        {"name": "two\nlines"},
        {"sampling_rate_hz": "nan"},
        {"sampling_rate_hz": "-1"},
        {"sampling_rate_hz": "fast"},
        {"units": "u" * 21},
        {"leads": "I," * 600},
    ],
    ids=str,
)
def test_an_impossible_field_is_refused(clean: TestClient, fields: dict[str, str]) -> None:
    assert_problem(clean.post("/v1/records", files=parts(made_files()), data=fields), 422)


def test_a_body_that_is_not_multipart_is_refused(clean: TestClient) -> None:
    assert_problem(clean.post("/v1/records", json={"file": "x"}), 400, "multipart/form-data")
    assert_problem(clean.post("/v1/records", content=b"\0\1\2"), 400)


def test_multipart_without_a_boundary_or_end_is_refused(clean: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    assert_problem(clean.post("/v1/records", content=b"--x", headers=headers), 400)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(clean.post("/v1/records", content=b"nothing of it", headers=headers), 400)


def test_a_file_that_is_sent_as_text_is_refused(clean: TestClient) -> None:
    answer = clean.post("/v1/records", data={"file": "rec.hea"}, files={"other": b"x"})
    assert_problem(answer, 422)


def test_a_very_long_file_name_is_refused(clean: TestClient) -> None:
    answer = clean.post("/v1/records", files=parts({"x" * 1001 + ".hea": b"x"}))
    assert 400 <= answer.status_code < 500
    assert_problem(answer, answer.status_code)


def test_too_many_files_are_refused(clean: TestClient) -> None:
    files = parts({f"{number}.dat": b"x" for number in range(1100)})
    answer = clean.post("/v1/records", files=files)
    assert 400 <= answer.status_code < 500
    assert_problem(answer, answer.status_code)


# --- too large


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_upload_bytes": 100_000})


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    small: Settings, sessions: SessionFactory
) -> None:
    with served(create_app(small)) as url:
        head = (
            "POST /v1/records HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        answer = raw(url, head.encode())
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"application/problem+json" in answer
        assert b"100,000 bytes" in answer
    assert counts(sessions) == NOTHING


def test_a_body_that_turns_out_too_large_is_refused(
    small: Settings, sessions: SessionFactory
) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.dat"\r\n\r\n'
        for _ in range(30):
            yield bytes(10_000)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with served(create_app(small)) as url:
        answer = httpx.post(f"{url}/v1/records", content=body(), headers=headers, trust_env=False)
        assert_problem(answer, 413, "100,000 bytes")
        good = httpx.post(f"{url}/v1/records", files=parts(made_files()), trust_env=False)
        assert good.status_code == 201
    assert counts(sessions)["records"] == 1
    assert [path for path in kept_files(small) if path.startswith("tmp")] == []


def test_json_is_held_in_memory_and_may_not_be_as_large_as_files(api: TestClient) -> None:
    answer = api.post("/v1/predictions", json={"record_id": "x" * 5_000_000, "task": "beats"})
    assert_problem(answer, 413, "without files")


# --- cut off


def raw(url: str, data: bytes) -> bytes:
    """What a server answers to these bytes."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(data)
        return connection.recv(65536)


@pytest.mark.parametrize("abrupt", [True, False], ids=["reset", "closed"])
def test_an_upload_cut_off_half_way_leaves_nothing(
    server: str, settings: Settings, sessions: SessionFactory, abrupt: bool
) -> None:
    url = urlsplit(server)
    head = (
        b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="made.hea"\r\n\r\n'
    )
    connection = socket.create_connection((url.hostname, url.port), 10)
    connection.sendall(head + made_files()["made.hea"] + bytes(100_000))
    time.sleep(0.1)
    if abrupt:
        linger = b"\1\0\0\0\0\0\0\0"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()
    with httpx.Client(base_url=server, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert counts(sessions) == NOTHING
        assert kept_files(settings) == []
        assert upload(client, made_files())["n_samples"] == 3600
