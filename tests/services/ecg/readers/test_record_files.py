"""Which files are one record, by what headers name."""

from __future__ import annotations

from services.ecg.readers.record_files import CIRCLE, NO_RECORD, grouped


def found(files: dict[str, str]) -> tuple[dict[str, set[str]], dict[str, str]]:
    records, left_out = grouped(list(files), files.__getitem__)
    return {r.name: set(r.paths) for r in records}, {each.file: each.reason for each in left_out}


def test_a_header_takes_the_files_it_names_and_its_annotations() -> None:
    header = "100 2 360\n100.dat 212 200\n100.dat 212 200\n# a comment 12\n"
    records, left = found({"m/100.hea": header, "m/100.dat": "", "m/100.atr": "", "100.atr": ""})
    assert records == {"m/100": {"m/100.hea", "m/100.dat", "m/100.atr"}}
    assert list(left) == ["100.atr"]


def test_the_same_names_in_another_folder_are_another_record() -> None:
    header = "r 1 360\nr.dat 16 200\n"
    records, _ = found({f"{f}/r.{e}": header for f in "ab" for e in ("hea", "dat")})
    assert records == {f"{f}/r": {f"{f}/r.hea", f"{f}/r.dat"} for f in "ab"}


def test_segments_belong_to_their_record() -> None:
    files = {
        "w.hea": "w/2 1 125 100\nw_1 50\nw_2 50\n",
        "w_1.hea": "w_1 1 125 50\nw_1.dat 16 200\n",
        "w_2.hea": "w_2 1 125 50\nw_2.dat 16 200\n",
        "w_1.dat": "",
        "w_2.dat": "",
    }
    assert found(files) == ({"w": set(files)}, {})


def test_headers_that_name_one_another_are_no_record() -> None:
    records, left = found({"a.hea": "a/1 1 125 9\nb 9\n", "b.hea": "b/1 1 125 9\na 9\n"})
    assert records == {}
    assert left == {"a.hea": CIRCLE, "b.hea": CIRCLE}


def test_any_other_file_is_a_record_of_its_own_but_not_what_tells_of_them() -> None:
    records, left = found(
        {"x/one.edf": "", "two.csv": "", "README.md": "", "RECORDS": "", "a.dat": ""}
    )
    assert set(records) == {"x/one", "two"}
    assert left["README.md"] == left["RECORDS"] == NO_RECORD
    assert "signal file without its record" in left["a.dat"]


def test_a_matlab_signal_belongs_to_its_header() -> None:
    records, _ = found({"A1.hea": "A1 12 500 5000\nA1.mat 16+24 1000\n", "A1.mat": ""})
    assert records == {"A1": {"A1.hea", "A1.mat"}}
