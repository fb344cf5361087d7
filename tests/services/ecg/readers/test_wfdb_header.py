"""What a header may say, and how an error points at it."""

from __future__ import annotations

from datetime import datetime

import pytest

from services.ecg.readers.wfdb_header import Header, parsed_header
from services.errors import MalformedInput, UnusableInput


def parse(text: str) -> Header:
    return parsed_header("x.hea", text.encode(), max_leads=12)


def test_every_field_of_a_signal_line_is_read() -> None:
    header = parse("x 1 360 10\nx.dat 212x4:2+24 200.5(-12)/uV 11 1024 995 -22131 0 ECG lead II\n")
    signal = header.signals[0]
    assert (signal.storage, signal.samples_per_frame) == (212, 4)
    assert (signal.skew_frames, signal.byte_offset) == (2, 24)
    assert (signal.gain, signal.baseline, signal.unit) == (200.5, -12, "uV")
    assert (signal.init_value, signal.checksum, signal.name) == (995, -22131, "ECG lead II")


def test_what_is_left_out_has_the_defaults_of_the_format() -> None:
    header = parse("x 1\nx.dat 16\n")
    signal = header.signals[0]
    assert header.frame_rate_hz == 250
    assert header.n_frames is None
    assert (signal.gain, signal.baseline, signal.unit, signal.checksum) == (None, 0, None, None)


def test_the_baseline_is_the_adc_zero_where_it_is_not_given() -> None:
    assert parse("x 1 360 10\nx.dat 16 200 11 1024\n").signals[0].baseline == 1024


def test_counter_frequency_comments_and_blank_lines_are_passed_over() -> None:
    header = parse("# before\n\nx 1 360/720(5) 10\r\n# between\nx.dat 16 200/mV\n\n# <age>: 50\n")
    assert header.frame_rate_hz == 360
    assert len(header.signals) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("08:26:04 26/10/1994", datetime.fromisoformat("1994-10-26T08:26:04")),
        ("8:26:04.500 26/10/1994", datetime.fromisoformat("1994-10-26T08:26:04.5")),
        ("08:26:04", None),
        ("12-May-2020 12:33:59", None),
    ],
)
def test_the_start_is_known_when_date_and_time_are(text: str, expected: datetime | None) -> None:
    assert parse(f"x 1 360 10 {text}\nx.dat 16\n").start_time == expected


def test_segments_and_layout_are_told_apart() -> None:
    fixed = parse("x/2 2 125 20\na 10\n~ 10\n")
    variable = parse("x/2 2 125 10\nlayout 0\na 10\n")
    assert fixed.is_multi_segment
    assert not fixed.has_layout
    assert variable.has_layout
    assert [segment.name for segment in fixed.segments] == ["a", "~"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no record line"),
        ("x\n", "line 1: expected the number of signals, found nothing"),
        ("x/0 1 250\n", "line 1: a multi-segment record of 0 segments"),
        ("a/b/c 1 250\n", "line 1: expected a record name, found 'a/b/c'"),
        ("x 1 250 10\n# c\nx.dat\n", "line 3: expected a file name and a storage format"),
        ("x 1 250 10\nx.dat 16y2\n", "line 2: expected a storage format like 212"),
        ("x 1 250 10\nx.dat 16 200/mV twelve\n", "line 2: expected the ADC resolution"),
        ("x 1 250 10\nx.dat 16 200/mV 12 0 0 1.5\n", "line 2: expected the checksum"),
        ("x/1 1 250 10\nseg\n", "line 2: expected a segment and its number of samples"),
        ("x 1 1_000 10\nx.dat 16\n", "line 1: expected a sampling rate in Hz, found '1_000'"),
        ("x 1 250 10\nx.dat 16\nx.dat 16\n", "1 signal lines announced, 2 follow"),
        ("x 1 250 10\nx\0.dat 16\n", "line 2: a header is text, found a zero byte"),
    ],
)
def test_an_error_names_file_line_and_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        parse(text)
    assert "x.hea" in caught.value.detail
    assert says in caught.value.detail


def test_what_the_sender_wrote_is_cut_short_and_made_printable() -> None:
    with pytest.raises(MalformedInput) as caught:
        parse(f"x 1 \x1b[31m{'9' * 500} 10\nx.dat 16\n")
    assert len(caught.value.detail) < 200
    assert "\x1b" not in caught.value.detail


def test_a_gain_of_zero_is_not_taken_for_the_default() -> None:
    with pytest.raises(UnusableInput, match="uncalibrated"):
        parse("x 1 250 10\nx.dat 16 0/mV\n")
