"""Records over HTTP, on real Postgres and a real store."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from services.db.session import SessionFactory
from services.settings import Settings
from tests import corpus
from tests.factories import assert_problem, counts, kept_files, parts, upload
from tests.signals import made_ecg, made_files, wfdb_files


@pytest.fixture
def annotated() -> dict[str, bytes]:
    """A record with three reference annotations: N at 100, V at 500, a rhythm note at 600."""
    words = [(1 << 10) | 100, (5 << 10) | 400, (28 << 10) | 100]
    note = b"(AFIB\0"
    atr = np.array(words, "<u2").tobytes()
    atr += np.array([(63 << 10) | 5], "<u2").tobytes() + note + b"\0\0"
    return made_files() | {"made.atr": atr}


def test_an_uploaded_record_is_described_and_located(
    api: TestClient, example: dict[str, bytes]
) -> None:
    answer = api.post("/v1/records", files=parts(example))
    assert answer.status_code == 201
    record = answer.json()
    assert answer.headers["location"] == f"/v1/records/{record['id']}"
    assert record["id"].startswith("rec_")
    assert record["name"] == "208_excerpt"
    assert (record["n_samples"], record["duration_s"]) == (108_000, 300.0)
    assert record["leads"] == [{"name": "MLII", "unit": "mV"}]
    assert record["format"] == "wfdb"
    assert record["has_annotations"] is False
    assert record["created_at"].endswith("Z")
    assert api.get(answer.headers["location"]).json() == record


def test_the_hash_of_several_files_is_that_of_their_sha256sum_lines(api: TestClient) -> None:
    files = made_files()
    lines = sorted(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    assert upload(api, files)["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_hash_of_one_file_is_its_own(api: TestClient) -> None:
    archive = corpus.zipped(made_files())
    assert upload(api, {"made.zip": archive})["sha256"] == hashlib.sha256(archive).hexdigest()


def test_the_same_bytes_again_give_the_record_that_is_there(
    api: TestClient, settings: Settings
) -> None:
    first = upload(api, made_files())
    again = api.post("/v1/records", files=parts(made_files()), data={"name": "another name"})
    assert again.status_code == 200
    assert again.json() == first
    assert again.headers["location"] == f"/v1/records/{first['id']}"
    assert len([path for path in kept_files(settings) if "signal" in path]) == 1


def test_name_and_patient_are_as_the_client_says(api: TestClient) -> None:
    record = upload(api, made_files(), name="Holter, day 2", patient_id="p-17")
    assert record["name"] == "Holter, day 2"
    assert record["patient_id"] == "p-17"


@pytest.mark.parametrize("folder", ["", "mitdb/", "a/b/"])
def test_an_archive_is_unpacked(api: TestClient, folder: str) -> None:
    record = upload(api, {"r.zip": corpus.zipped(made_files(), folder=folder)})
    assert [lead["name"] for lead in record["leads"]] == ["MLII", "V1"]


def test_annotations_come_back_with_their_class(
    api: TestClient, annotated: dict[str, bytes]
) -> None:
    record = upload(api, annotated)
    assert record["has_annotations"] is True
    found = api.get(f"/v1/records/{record['id']}/annotations").json()
    assert [one["sample"] for one in found] == [100, 500, 600]
    assert [one["symbol"] for one in found] == ["N", "V", "+"]
    assert [one["label"] for one in found] == ["N", "V", None]
    assert found[1]["time_s"] == pytest.approx(500 / 360, abs=1e-6)
    assert found[2]["note"] == "(AFIB"


def test_a_record_without_annotations_has_an_empty_list(api: TestClient) -> None:
    record = upload(api, made_files())
    answer = api.get(f"/v1/records/{record['id']}/annotations")
    assert (answer.status_code, answer.json()) == (200, [])


def test_records_are_listed_newest_first_page_by_page(api: TestClient) -> None:
    made = [upload(api, made_files(seed=seed))["id"] for seed in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/records", params=query).json()
        seen += [record["id"] for record in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)


def test_an_empty_list_has_no_cursor(api: TestClient) -> None:
    assert api.get("/v1/records").json() == {"data": [], "next_cursor": None}


@pytest.mark.parametrize("cursor", ["%%%", "not base64", "AAAA", "w6Q="])
def test_a_cursor_that_is_not_ours_is_refused_or_harmless(api: TestClient, cursor: str) -> None:
    answer = api.get("/v1/records", params={"cursor": cursor})
    if answer.status_code != 200:
        assert_problem(answer, 400, "cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
def test_a_limit_out_of_range_is_refused(api: TestClient, limit: str) -> None:
    problem = assert_problem(api.get("/v1/records", params={"limit": limit}), 422)
    assert problem["errors"][0]["loc"] == ["query", "limit"]


def test_a_removed_record_leaves_nothing(
    api: TestClient, settings: Settings, sessions: SessionFactory
) -> None:
    record = upload(api, made_files())
    assert kept_files(settings)
    assert api.delete(f"/v1/records/{record['id']}").status_code == 204
    assert_problem(api.get(f"/v1/records/{record['id']}"), 404, record["id"])
    assert_problem(api.delete(f"/v1/records/{record['id']}"), 404)
    assert kept_files(settings) == []
    assert counts(sessions)["records"] == 0


def test_a_removed_record_can_be_uploaded_again(api: TestClient) -> None:
    first = upload(api, made_files())
    api.delete(f"/v1/records/{first['id']}")
    answer = api.post("/v1/records", files=parts(made_files()))
    assert answer.status_code == 201
    assert answer.json()["id"] != first["id"]


@pytest.mark.parametrize("record_id", ["rec_nothing", "rec_%00", "%2e%2e%2fetc", "x" * 500, "💔"])
def test_an_unknown_id_is_not_found(api: TestClient, record_id: str) -> None:
    answer = api.get(f"/v1/records/{record_id}")
    assert answer.status_code in (400, 404)
    assert_problem(answer, answer.status_code)


# --- the signal


def test_a_short_stretch_comes_sample_by_sample(api: TestClient) -> None:
    signal, _ = made_ecg(duration_s=10.0)
    record = upload(api, wfdb_files(signal))
    query = {"start_s": 2.0, "end_s": 3.0}
    found = api.get(f"/v1/records/{record['id']}/signal", params=query).json()
    assert (found["sampling_rate_hz"], found["start_s"], found["unit"]) == (360.0, 2.0, "mV")
    assert [lead["name"] for lead in found["leads"]] == ["MLII", "V1"]
    for number, lead in enumerate(found["leads"]):
        assert len(lead["value"]) == 360
        np.testing.assert_allclose(lead["value"], signal[number, 720:1080], atol=0.0026)
        assert lead["time_s"][0] == pytest.approx(2.0)
        assert lead["time_s"][-1] == pytest.approx(3.0 - 1 / 360, abs=1e-6)


def test_a_long_stretch_keeps_its_extremes_within_the_points_asked(api: TestClient) -> None:
    signal, _ = made_ecg(duration_s=10.0)
    record = upload(api, wfdb_files(signal))
    query = {"max_points": 100, "lead": "V1"}
    found = api.get(f"/v1/records/{record['id']}/signal", params=query).json()
    assert [lead["name"] for lead in found["leads"]] == ["V1"]
    values, times = found["leads"][0]["value"], found["leads"][0]["time_s"]
    assert 50 <= len(values) <= 100
    assert max(values) == pytest.approx(signal[1].max(), abs=0.003)
    assert min(values) == pytest.approx(signal[1].min(), abs=0.003)
    assert times == sorted(times)


def test_missing_samples_are_null(api: TestClient) -> None:
    files = made_files()
    samples = np.frombuffer(files["made.dat"], "<i2").copy()
    samples[100:110] = -32768
    record = upload(api, files | {"made.dat": samples.tobytes()})
    found = api.get(f"/v1/records/{record['id']}/signal", params={"end_s": 0.2}).json()
    assert found["leads"][0]["value"][50:55] == [None] * 5
    assert found["leads"][0]["value"][49] is not None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"lead": "aVR"}, "this record has MLII, V1"),
        ({"start_s": 10.0}, "lasts 10 s"),
        ({"start_s": 5, "end_s": 5}, "no sample"),
        ({"start_s": 5, "end_s": 4}, "no sample"),
        ({"start_s": -1}, "start_s"),
        ({"start_s": "nan"}, "start_s"),
        ({"end_s": "inf"}, "end_s"),
        ({"end_s": 1e308, "start_s": 1e308}, "lasts 10 s"),
        ({"max_points": 1}, "max_points"),
        ({"max_points": 10**9}, "max_points"),
    ],
)
def test_a_stretch_that_is_not_there_is_refused(
    api: TestClient, query: dict[str, object], says: str
) -> None:
    record = upload(api, made_files())
    assert_problem(api.get(f"/v1/records/{record['id']}/signal", params=query), 422, says)


# --- once and only once


def test_the_same_key_and_body_give_the_same_record(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.post("/v1/records", files=parts(made_files()), headers=headers)
    again = api.post("/v1/records", files=parts(made_files()), headers=headers)
    assert first.status_code == 201
    assert again.status_code == 200
    assert again.json() == first.json()


@pytest.mark.parametrize("more", [{"seed": 2}, {"fields": {"name": "other"}}])
def test_the_same_key_with_another_body_is_a_conflict(
    api: TestClient, sessions: SessionFactory, more: dict[str, object]
) -> None:
    headers = {"Idempotency-Key": "k-1"}
    api.post("/v1/records", files=parts(made_files(seed=1)), headers=headers)
    files, fields = made_files(seed=int(more.get("seed", 1))), more.get("fields")  # type: ignore[call-overload]
    answer = api.post("/v1/records", files=parts(files), data=fields, headers=headers)
    assert_problem(answer, 409, "Idempotency-Key")
    assert counts(sessions)["records"] == 1


def test_a_key_of_a_known_record_stands_for_that_record(api: TestClient) -> None:
    first = upload(api, made_files())
    headers = {"Idempotency-Key": "k-2"}
    for _ in range(2):
        answer = api.post("/v1/records", files=parts(made_files()), headers=headers)
        assert (answer.status_code, answer.json()["id"]) == (200, first["id"])


def test_a_key_whose_record_was_removed_is_a_conflict(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k-3"}
    first = api.post("/v1/records", files=parts(made_files()), headers=headers).json()
    api.delete(f"/v1/records/{first['id']}")
    answer = api.post("/v1/records", files=parts(made_files()), headers=headers)
    assert_problem(answer, 409, "removed")


def test_a_failed_upload_does_not_use_up_its_key(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k-4"}
    picture = {"x.png": b"\x89PNG\r\n\x1a\n" + bytes(64)}
    bad = api.post("/v1/records", files=parts(picture), headers=headers)
    assert bad.status_code == 415
    good = api.post("/v1/records", files=parts(made_files()), headers=headers)
    assert good.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_impossible_length_is_refused(api: TestClient, key: str) -> None:
    answer = api.post("/v1/records", files=parts(made_files()), headers={"Idempotency-Key": key})
    assert_problem(answer, 400, "Idempotency-Key")


def at_once(url: str, times: int, headers: dict[str, str] | None = None) -> list[httpx.Response]:
    """The same upload several times at the same moment."""
    answers: list[httpx.Response] = []
    start = threading.Barrier(times)

    def send() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            start.wait()
            files = parts(made_files(duration_s=60))
            answers.append(client.post("/v1/records", files=files, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("headers", [None, {"Idempotency-Key": "one"}])
def test_the_same_upload_at_once_is_one_record(
    server: str, settings: Settings, sessions: SessionFactory, headers: dict[str, str] | None
) -> None:
    answers = at_once(server, 4, headers)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    (record_id,) = {answer.json()["id"] for answer in answers}
    assert counts(sessions)["records"] == 1
    folder = f"store/records/{record_id}"
    assert kept_files(settings) == [folder, f"{folder}/signal.npy"]


def test_a_file_that_was_lost_from_the_store_is_said_to_be_gone(
    api: TestClient, settings: Settings
) -> None:
    record = upload(api, made_files())
    Path(settings.store_dir / "records" / record["id"] / "signal.npy").unlink()
    assert_problem(api.get(f"/v1/records/{record['id']}/signal"), 404)
