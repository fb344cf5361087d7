from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ectopy.serve import banner

REPOSITORY = Path(__file__).resolve().parents[3]
URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_line_is_the_readmes_in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert banner.curl_line(URL) in (REPOSITORY / "README.md").read_text()


def test_the_files_are_absolute_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(banner.curl_line(URL))
    files = [Path(word.removeprefix("file=@")) for word in words if word.startswith("file=@")]
    assert len(files) == 2
    assert all(file.is_absolute() and file.is_file() for file in files)


def test_a_folder_with_a_blank_in_its_name_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = tmp_path / "my records"
    examples.mkdir()
    for name in banner.EXAMPLE:
        (examples / name).touch()
    monkeypatch.setattr(banner, "EXAMPLES", examples)
    assert f"file=@{examples / banner.EXAMPLE[0]}" in shlex.split(banner.curl_line(URL))


def test_a_proxy_for_the_web_is_gone_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert shlex.split(banner.curl_line(URL))[1:3] == ["--noproxy", "*"]
