"""The page's files as they are served: types, headers, nothing beside them, all loaded at once."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from api.routers.page import WEB
from tests.factories import assert_problem


def test_the_start_page_carries_the_policy_and_other_guards(api: TestClient) -> None:
    answer = api.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_modules_are_served_as_modules_and_not_sent_twice(api: TestClient) -> None:
    first = api.get("/web/app.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    again = api.get("/web/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_only_the_files_of_the_page_can_be_asked_for(api: TestClient) -> None:
    for path in ("%2e%2e/%2e%2e/LICENSE", "..%2f..%2fpyproject.toml", "vendor/README.md", ""):
        assert_problem(api.get(f"/web/{path}"), 404, "the page has no file")


def test_the_start_page_holds_no_inline_code_and_names_nothing_elsewhere() -> None:
    text = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


def test_the_start_page_has_every_module_loaded_at_once() -> None:
    text = (WEB / "index.html").read_text()
    named = set(re.findall(r'(?:href|src)="web/([^"]+\.js)"', text))
    there = {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")}
    assert named == there


def test_what_is_taken_from_others_has_its_licence_beside_it() -> None:
    for package in (path for path in (WEB / "vendor").iterdir() if path.is_dir()):
        assert (package / "LICENSE").is_file()
        assert package.name in (WEB / "vendor" / "README.md").read_text()
