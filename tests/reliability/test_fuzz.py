"""A short `make fuzz`: damaged files of each format, and requests made from the document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from reliability.fuzz import EXPECTED, REFUSALS, mutated, originals
from tests.factories import assert_tells_nothing_of_the_inside


def test_damaged_files_of_every_format_are_read_or_refused(api: TestClient) -> None:
    good = originals()
    assert len(good) >= 19
    for what, files in mutated(good, cases=2 * len(good), seed=7):
        answer = api.post("/v1/records", files=[("file", item) for item in files.items()])
        assert answer.status_code in EXPECTED, (what, answer.text)
        assert_tells_nothing_of_the_inside(answer.text)


@pytest.mark.usefixtures("fake_model")
def test_requests_made_from_the_document_are_answered_as_it_says(
    server: str, tmp_path: Path
) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        "[checks.positive_data_acceptance]\n"
        f"expected-statuses = {json.dumps(REFUSALS)}\n"
        "[checks.not_a_server_error]\n"
        'expected-statuses = ["2xx", "3xx", "4xx", "503"]\n'
    )
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)]
    command += ["run", f"{server}/openapi.json", "--checks", "all", "--max-examples", "1"]
    # no keys are configured here: tests/api/test_callers.py asks with bad ones and without
    command += ["--exclude-checks", "ignored_auth,missing_required_header", "--seed", "3"]
    command += ["--phases", "fuzzing", "--generation-database", "none", "--warnings", "off"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
