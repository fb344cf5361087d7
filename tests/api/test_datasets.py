"""Datasets over HTTP, on real Postgres and a real store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.main import create_app
from services.datasets import service as datasets
from services.datasets.row import DatasetMemberRow
from services.db.session import SessionFactory
from services.errors import NotFound
from services.settings import Settings
from tests import corpus
from tests.conftest import EXAMPLES, SHARED
from tests.factories import assert_problem, counts, kept_files, upload
from tests.fakes import EagerDispatcher
from tests.labelled import TWELVE, archive, atr, beats_record, rhythm, twelve_leads, wfdb


def sent(client: TestClient, content: bytes, *, labels: str | None = None, **fields: Any) -> Any:
    """The answer to an archive that becomes a dataset."""
    files = [("file", ("records.zip", content, "application/zip"))]
    if labels is not None:
        files.append(("file", ("labels.csv", labels.encode(), "text/csv")))
    return client.post("/v1/datasets", files=files, data={"name": "d", "task": "beats"} | fields)


def made(client: TestClient, content: bytes, **more: Any) -> dict[str, Any]:
    answer = sent(client, content, **more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def reasons(dataset: dict[str, Any]) -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in dataset["left_out"]}


def kinds(dataset: dict[str, Any]) -> dict[str, list[str]]:
    return {f["kind"]: f["names"] for f in dataset["audit"]["findings"]}


def three() -> dict[str, bytes]:
    return beats_record("a", 1) | beats_record("b", 2) | beats_record("c", 3)


def test_an_archive_of_annotated_records_becomes_a_dataset(api: TestClient) -> None:
    answer = sent(api, archive(three()), name="three records")
    dataset = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/datasets/{dataset['id']}"
    assert dataset["id"].startswith("ds_")
    assert (dataset["name"], dataset["task"]) == ("three records", "beats")
    assert (dataset["records"], dataset["patients"], dataset["left_out"]) == (3, 3, [])
    beats = [len(rhythm(seed)[1]) for seed in (1, 2, 3)]
    assert dataset["counts"] == {
        "N": sum(n - n // 5 for n in beats),
        "S": 0,
        "V": sum(n // 5 for n in beats),
        "F": 0,
        "Q": 0,
    }
    assert api.get(f"/v1/datasets/{dataset['id']}").json() == dataset
    assert len(api.get("/v1/records").json()["data"]) == 3


def test_the_hash_names_the_content_not_the_archive(api: TestClient) -> None:
    files = three()
    first = made(api, archive(files))
    other_way = archive(dict(reversed(files.items())), method=0)
    assert made(api, other_way, name="again")["sha256"] == first["sha256"]
    assert len(api.get("/v1/records").json()["data"]) == 3
    changed = files | {"a.atr": atr(rhythm(1)[1], every_v=4)}
    assert made(api, archive(changed))["sha256"] != first["sha256"]
    joined = made(api, archive(files), labels="record,patient_id\na,p\nb,p\n")
    assert (joined["patients"], joined["sha256"] == first["sha256"]) == (2, False)


def test_every_file_that_is_left_out_is_named_with_its_reason(api: TestClient) -> None:
    files = {f"x/{name}": content for name, content in three().items()}
    signal, peaks = rhythm(9)
    files |= {f"x/{name}": content for name, content in wfdb("bare", signal).items()}
    files |= {f"x/{name}": content for name, content in beats_record("cut", 8).items()}
    files["x/cut.dat"] = files["x/cut.dat"][:100]
    files |= {"x/lost.dat": b"1234", "x/lost.atr": atr(peaks), "README.md": b"# read me"}
    files |= {"x/table.txt": b"\x00\x01\x02 no record of any kind"}
    files |= {f"y/{name}": content for name, content in beats_record("a", 1).items()}
    files |= {"z/inner.zip": archive({"a": b"1"})}
    dataset = made(api, archive(files))
    found = reasons(dataset)
    assert dataset["records"] == 3
    assert "no reference annotations" in found["x/bare.hea"]
    assert "cut.dat" in found["x/cut.hea"]
    assert "signal file without its record" in found["x/lost.dat"]
    assert "annotation file without its record" in found["x/lost.atr"]
    assert found["README.md"].startswith("not a record")
    assert found["x/table.txt"].startswith("the format of table.txt is not known")
    assert found["y/a.hea"] == "the same bytes as x/a"
    assert "archive inside of the archive" in found["z/inner.zip"]
    left = {e["file"]: e.get("with") for e in dataset["left_out"]}
    assert left["x/bare.hea"] == ["x/bare.dat"]
    assert dataset["left_out_count"] == len(found) == 8
    assert len(api.get("/v1/records").json()["data"]) == 3


def test_a_record_that_is_here_already_is_not_stored_twice(
    api: TestClient, sessions: SessionFactory
) -> None:
    record = upload(api, beats_record("a", 1), patient_id="p-1")
    dataset = made(api, archive(three()))
    assert counts(sessions)["records"] == 3
    with sessions() as session:
        rows = session.scalars(
            select(DatasetMemberRow).where(DatasetMemberRow.dataset_id == dataset["id"])
        ).all()
    assert {row.name: row.patient for row in rows if row.record_id == record["id"]} == {"a": "p-1"}


def test_a_record_of_a_dataset_cannot_be_removed_before_the_dataset(api: TestClient) -> None:
    dataset = made(api, archive(three()))
    record = api.get("/v1/records").json()["data"][0]["id"]
    assert_problem(api.delete(f"/v1/records/{record}"), 409, "belongs to a dataset")
    assert api.get(f"/v1/records/{record}/signal").status_code == 200
    assert api.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    assert_problem(api.get(f"/v1/datasets/{dataset['id']}"), 404)
    assert api.delete(f"/v1/records/{record}").status_code == 204


def test_twelve_leads_take_their_labels_from_a_table(api: TestClient) -> None:
    files: dict[str, bytes] = {}
    for n in range(6):
        files |= {f"ecg/{name}": c for name, c in twelve_leads(f"r{n}", 20 + n).items()}
    files |= beats_record("two_leads", 1)
    table = "record,label,patient_id\nr0,0,p0\necg/r1,1,p1\necg/r2.hea,0,P-2\nr3,,p3\nr4,1,p2\n"
    table += "two_leads,1,q\nr9,0,p9\n"
    dataset = made(api, archive(files), labels=table, task="afib-5y")
    assert dataset["counts"] == {"0": 2, "1": 2}
    assert (dataset["records"], dataset["patients"]) == (4, 3)
    found = reasons(dataset)
    assert found["ecg/r3.hea"] == "line 5 of labels.csv gives it no label"
    assert found["ecg/r5.hea"] == "labels.csv has no line for it"
    assert "lacks the leads" in found["two_leads.hea"]
    assert found["labels.csv, line 8"] == "there is no record r9"
    assert kinds(dataset)["patient_spelled_differently"] == ["ecg/r2", "ecg/r4"]


def test_the_table_may_lie_in_the_archive(api: TestClient) -> None:
    files = twelve_leads("r", 20) | {"labels.csv": b"\xef\xbb\xbfpatient_id;record;label\np;r;1\n"}
    assert made(api, archive(files), task="afib-5y")["counts"] == {"0": 0, "1": 1}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("record,label\nr,2\n", "labels.csv, line 2: label '2' is neither 0 nor 1"),
        ("record,label\nr,0\nr,1\n", "labels.csv, line 3: r is there twice"),
        ("name,label\nr,0\n", "labels.csv, line 1: no column record"),
        ("record,label\n", "has no line"),
        ("record,label\n,1\n", "labels.csv, line 2"),
        ("record,label\nr,1\n\x00", "labels.csv"),
    ],
)
def test_a_table_with_a_mistake_is_refused_and_nothing_is_kept(
    api: TestClient, settings: Settings, sessions: SessionFactory, table: str, says: str
) -> None:
    answer = sent(api, archive(twelve_leads("r", 20)), labels=table, task="afib-5y")
    assert_problem(answer, 400, says)
    assert counts(sessions)["records"] == 0
    assert kept_files(settings) == []


def test_a_name_that_several_records_have_is_refused_and_their_paths_are_not(
    api: TestClient,
) -> None:
    files = {f"x/{name}": c for name, c in twelve_leads("r", 20).items()}
    files |= {f"y/{name}": c for name, c in twelve_leads("r", 21).items()}
    unclear = sent(api, archive(files), labels="record,label\nr,1\n", task="afib-5y")
    assert_problem(unclear, 400, "labels.csv, line 2: 2 records are called r; give its path")
    clear = made(api, archive(files), labels="record,label\nx/r,1\ny/r.hea,0\n", task="afib-5y")
    assert clear["counts"] == {"0": 1, "1": 1}
    files |= twelve_leads("r", 22)
    one = made(api, archive(files), labels="record,label\nr,1\n", task="afib-5y")
    assert one["counts"] == {"0": 0, "1": 1}  # the path is meant, not what the others are called
    assert set(reasons(one)) == {"x/r.hea", "y/r.hea"}


def test_without_labels_there_is_no_dataset_of_risks(api: TestClient) -> None:
    answer = sent(api, archive(twelve_leads("r", 20)), task="afib-5y")
    assert_problem(answer, 422, "record,label,patient_id")


def test_an_archive_of_which_nothing_can_be_used_leaves_nothing(
    api: TestClient, settings: Settings, sessions: SessionFactory
) -> None:
    problem = assert_problem(
        sent(api, archive(wfdb("bare", rhythm(1)[0]))), 422, "no record can be used; bare.hea"
    )
    assert problem["errors"][0]["loc"] == ["file", "bare.hea"]
    assert counts(sessions)["records"] == 0
    assert kept_files(settings) == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (archive(three())[:-400], 400),
        (archive({"../a.hea": b"1"}), 400),
        (archive({"/a.hea": b"1"}), 400),
        (corpus.zip_with_link(), 400),
        (archive({"a.dat": bytes(40 << 20)}), 413),
        (b"no archive at all", 400),
    ],
    ids=["cut", "out of it", "absolute", "link", "bomb", "text"],
)
def test_a_hostile_archive_is_refused_whole(
    api: TestClient, settings: Settings, sessions: SessionFactory, content: bytes, status: int
) -> None:
    assert_problem(sent(api, content), status)
    assert counts(sessions)["records"] == 0
    assert kept_files(settings) == []


def test_records_that_are_here_become_a_dataset(api: TestClient) -> None:
    ids = [upload(api, beats_record(name, seed))["id"] for seed, name in enumerate("abc")]
    bare = upload(api, wfdb("bare", rhythm(7)[0]))["id"]
    body = {
        "name": "d",
        "task": "beats",
        "record_ids": [*ids, bare],
        "patients": {ids[0]: "p", ids[1]: "p"},
    }
    answer = api.post("/v1/datasets", json=body)
    assert answer.status_code == 201
    dataset = answer.json()
    assert (dataset["records"], dataset["patients"]) == (3, 2)
    assert list(reasons(dataset)) == [bare]
    assert kinds(dataset)["patient_unknown"] == ["c"]


def test_risks_of_records_that_are_here_take_labels_from_the_body(api: TestClient) -> None:
    ids = [upload(api, twelve_leads(f"r{n}", n), patient_id=f"p{n}")["id"] for n in range(3)]
    body: dict[str, Any] = {"name": "d", "task": "afib-5y", "record_ids": ids}
    answer = api.post("/v1/datasets", json=body | {"labels": {ids[0]: 1, ids[1]: 0}})
    assert answer.status_code == 201
    assert answer.json()["counts"] == {"0": 1, "1": 1}
    assert reasons(answer.json()) == {ids[2]: "it has no label"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"record_ids": ["rec_none"]}, 404),
        ({"record_ids": []}, 422),
        ({"task": "sleep"}, 422),
        ({"name": ""}, 422),
        ({"labels": {"rec_other": 1}}, 422),
        ({"patients": {"rec_other": "p"}}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(
    api: TestClient, change: dict[str, Any], status: int
) -> None:
    record = upload(api, beats_record("a", 1))["id"]
    body = {"name": "d", "task": "beats", "record_ids": [record]} | change
    assert_problem(api.post("/v1/datasets", json=body), status)


def test_the_same_key_gives_the_same_dataset(api: TestClient, sessions: SessionFactory) -> None:
    files = [("file", ("r.zip", archive(three()), "application/zip"))]
    headers = {"Idempotency-Key": "k"}
    data = {"name": "d", "task": "beats"}
    first, again = (
        api.post("/v1/datasets", files=files, data=data, headers=headers).json() for _ in range(2)
    )
    assert first == again
    other = api.post("/v1/datasets", files=files, data=data | {"name": "e"}, headers=headers)
    assert_problem(other, 409)
    assert len(api.get("/v1/datasets").json()["data"]) == 1
    assert counts(sessions)["records"] == 3


def test_datasets_are_listed_newest_first_by_page_and_by_task(api: TestClient) -> None:
    beats = [made(api, archive(three()), name=f"d{n}")["id"] for n in range(3)]
    files = twelve_leads("r", 20) | {"labels.csv": b"record,label\nr,1\n"}
    risk = made(api, archive(files), task="afib-5y")["id"]
    first = api.get("/v1/datasets", params={"limit": 2}).json()
    assert [d["id"] for d in first["data"]] == [risk, beats[2]]
    then = api.get("/v1/datasets", params={"cursor": first["next_cursor"]}).json()
    assert [d["id"] for d in then["data"]] == [beats[1], beats[0]]
    only = api.get("/v1/datasets", params={"task": "afib-5y"}).json()["data"]
    assert [d["id"] for d in only] == [risk]
    assert "left_out" not in only[0]


def test_what_formats_do_not_say_may_be_said_for_all_of_them(api: TestClient) -> None:
    columns = np.round(rhythm(2, duration_s=10.0, n_leads=12)[0].T[::4], 4)
    text = ",".join(TWELVE) + "\n" + "\n".join(",".join(map(str, row)) for row in columns.tolist())
    table = "record,label\na,1\n"
    content = archive({"a.csv": text.encode()})
    unsaid = sent(api, content, labels=table, task="afib-5y")
    assert_problem(unsaid, 422, "does not say its sampling rate")
    said = made(api, content, labels=table, task="afib-5y", sampling_rate_hz=90, units="mV")
    assert said["counts"] == {"0": 0, "1": 1}
    assert api.get("/v1/records").json()["data"][0]["sampling_rate_hz"] == 90.0


@pytest.mark.skipif(not (SHARED / "data" / "formats").is_dir(), reason="needs ../shared/data")
def test_an_archive_of_every_format_is_sorted_out(api: TestClient) -> None:
    """Real files, among them multi-segment records and damaged ones."""
    root = SHARED / "data" / "formats"
    files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    dataset = made(api, archive(files))
    assert dataset["records"] == 1  # an EDF+ file with beats
    named = {e["file"] for e in dataset["left_out"]}
    named |= {other for e in dataset["left_out"] for other in e.get("with", ())}
    assert named | {"edf/mitdb100_60s_beats.edf"} == set(files)
    assert "announces" in reasons(dataset)["scp-ecg/bad_crc.scp"]


def test_the_records_of_a_dataset_come_page_by_page_in_its_order(api: TestClient) -> None:
    dataset = made(api, archive(three()), labels="record,patient_id\na,p\nb,q\n")
    base = f"/v1/datasets/{dataset['id']}/records"
    first = api.get(base, params={"limit": 2}).json()
    then = api.get(base, params={"cursor": first["next_cursor"]}).json()
    assert [m["name"] for m in first["data"] + then["data"]] == ["a", "b", "c"]
    assert [m["patient"] for m in first["data"]] == ["p", "q"]
    assert then["next_cursor"] is None
    assert set(first["data"][0]["counts"]) == {"N", "S", "V", "F", "Q"}
    assert_problem(api.get(base, params={"cursor": "eA=="}), 400, "cursor")
    assert_problem(api.get("/v1/datasets/ds_none/records"), 404)


def test_one_waveform_under_two_names_counts_as_one_patient(api: TestClient) -> None:
    signal, peaks = rhythm(4, duration_s=40.0)
    cut = peaks[(peaks > 3700) & (peaks < 12_000)] - 3600
    louder = wfdb("copy", signal[:, 3600:12_000] * 1.7, units_per_mv=100) | {"copy.atr": atr(cut)}
    whole = wfdb("whole", signal) | {"whole.atr": atr(peaks)}
    dataset = made(
        api,
        archive(three() | whole | louder),
        labels="record,patient_id\nwhole,p1\ncopy,p2\na,p3\nb,p4\nc,p5\n",
    )
    assert kinds(dataset) == {"same_waveform": ["copy", "whole"]}
    assert (dataset["records"], dataset["patients"]) == (5, 4)
    assert "of different ids" in dataset["audit"]["findings"][0]["detail"]


def test_the_same_waveform_with_both_labels_is_told(api: TestClient) -> None:
    signal, _ = rhythm(30, n_leads=12)
    files = twelve_leads("one", 30)
    files |= wfdb("two", np.asarray(signal[:, 90:] * 0.8), leads=TWELVE)
    dataset = made(
        api, archive(files), labels="record,label,patient_id\none,0,p\ntwo,1,p\n", task="afib-5y"
    )
    assert kinds(dataset)["labels_disagree"] == ["one", "two"]
    assert dataset["patients"] == 1


def test_a_record_that_a_promoted_model_was_trained_on_is_told(api: TestClient) -> None:
    """The shipped model's own training records, known again by their rhythm."""
    mitdb = SHARED / "data" / "mitdb"
    if not mitdb.is_dir():
        pytest.skip("needs MIT-BIH records in ../shared/data/mitdb")
    names = ("201", "202", "100")
    files = {
        f"{as_name}.{kind}": (mitdb / f"{name}.{kind}").read_bytes()
        for name, as_name in zip(names, names, strict=True)
        for kind in ("hea", "dat", "atr")
    }
    dataset = made(api, archive(files))
    found = kinds(dataset)
    assert found["records_known_to_be_of_one_patient"] == ["201", "202"]
    assert found["trained_on"] == ["201"]
    assert (dataset["records"], dataset["patients"]) == (3, 2)
    (compared,) = dataset["audit"]["compared_with"]
    assert compared["model"] == "ecgbert-beats"
    assert compared["how"] == "by the rhythm of its training records"


def test_a_part_of_a_training_record_is_known_whatever_it_is_called(api: TestClient) -> None:
    example = {
        "mine.hea": (EXAMPLES / "208_excerpt.hea").read_bytes().replace(b"208_excerpt", b"mine"),
        "mine.dat": (EXAMPLES / "208_excerpt.dat").read_bytes(),
        "mine.atr": atr(np.arange(100, 100_000, 300)),
    }
    dataset = made(api, archive(example))
    assert kinds(dataset)["trained_on"] == ["mine"]
    assert "training record 208" in dataset["audit"]["findings"][-1]["detail"]


@pytest.mark.usefixtures("fake_model")
def test_a_batch_predicts_every_record_of_a_dataset(
    settings: Settings, sessions: SessionFactory
) -> None:
    app = create_app(settings)
    dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    app.state.ectopy.dispatcher = dispatcher
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        dataset = made(client, archive(three()))
        body = {"dataset_id": dataset["id"], "task": "beats"}
        answer = client.post("/v1/predictions/batch", json=body, headers={"Prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"] == {"records": 3, "succeeded": 3, "failed": 0}
        dispatcher.wait()
        assert_problem(
            client.post("/v1/predictions/batch", json=body | {"dataset_id": "ds_none"}), 404
        )
        both = body | {"record_ids": ["rec_x"]}
        assert_problem(client.post("/v1/predictions/batch", json=both), 422, "either")
        assert_problem(client.post("/v1/predictions/batch", json={"task": "beats"}), 422, "either")


def test_another_project_sees_neither_dataset_nor_records(
    api: TestClient, session: Session
) -> None:
    dataset = made(api, archive(three()))
    record = api.get("/v1/records").json()["data"][0]["id"]
    with pytest.raises(NotFound):
        datasets.get(session, dataset["id"], project_id="other")
    with pytest.raises(NotFound):
        datasets.remove(session, dataset["id"], project_id="other")
    assert datasets.page(session, project_id="other", task=None, before_id=None, limit=9) == []
    asked = datasets.DatasetRequest("d", "beats")
    with pytest.raises(NotFound):
        datasets.create_of_records(
            session,
            api.app.state.ectopy.store,  # type: ignore[attr-defined]
            asked,
            [record],
            project_id="other",
            dataset_id="ds_x",
        )


@pytest.mark.skipif(not (SHARED / "data" / "formats").is_dir(), reason="needs ../shared/data")
def test_one_ecg_in_five_formats_is_one_patient(api: TestClient) -> None:
    """Real files: one recording that was written in several formats, and another in two."""
    root = SHARED / "data" / "formats"
    names = (
        "edf/georgia_E07500_12lead.edf",
        "ishne/georgia_E07500_12lead.ecg",
        "json/georgia_E07500_12lead.json",
        "wfdb-mat/E07500.hea",
        "wfdb-mat/E07500.mat",
        "hl7-aecg/example_aecg.xml",
        "scp-ecg/huffman_12lead_500hz.scp",
        "dicom/ge_12lead_500hz.dcm",
    )
    files = {name: (root / name).read_bytes() for name in names}
    records = [name for name in names if not name.endswith(".mat")]
    table = "record,label\n" + "".join(f"{name},1\n" for name in records)
    dataset = made(api, archive(files), labels=table, task="afib-5y")
    copies = [f["names"] for f in dataset["audit"]["findings"] if f["kind"] == "same_waveform"]
    assert sorted(map(len, copies)) == [2, 4]
    assert (dataset["records"], dataset["patients"]) == (7, 3)
