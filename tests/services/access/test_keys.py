"""Keys: shown once, kept as a hash, good until they expire or are revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from services import clock
from services.access import keys
from services.access.caller import SHARED_PROJECT, Caller, Scope
from services.access.row import ApiKeyRow
from services.errors import NotAuthenticated, NotFound, NotPermitted, UnusableInput


def test_a_key_lets_its_project_in_with_its_scopes(session: Session) -> None:
    row, text = keys.create(session, name="ward", scopes=["predict", "read"], project_id="ward-3")
    expected = Caller("ward-3", frozenset({Scope.READ, Scope.PREDICT}), row.id)
    assert keys.caller_of(session, text) == expected


def test_only_a_hash_is_kept(session: Session) -> None:
    row, text = keys.create(session, name="ward", scopes=["read"])
    secret = text.split("_", 2)[2]
    assert len(secret) == 43
    for column in inspect(ApiKeyRow).columns:
        assert secret not in str(getattr(row, column.key))


def test_keys_are_needed_from_the_first_on_and_stay_so(session: Session) -> None:
    assert not keys.are_configured(session)
    row, _ = keys.create(session, name="ward", scopes=["read"])
    assert keys.are_configured(session)
    keys.revoke(session, row.id)
    assert keys.are_configured(session)


def test_a_key_that_is_not_one_is_refused(session: Session) -> None:
    _, text = keys.create(session, name="ward", scopes=["read"])
    other = text[:-1] + ("A" if text[-1] != "A" else "B")
    for wrong in (other, text[:-1], text + "A", text.upper(), "", "x", "ectopy__", "é", "\x00"):
        with pytest.raises(NotAuthenticated):
            keys.caller_of(session, wrong)


def test_an_expired_or_revoked_key_is_refused(session: Session) -> None:
    past, soon = clock.now() - timedelta(seconds=1), clock.now() + timedelta(hours=1)
    _, expired = keys.create(session, name="old", scopes=["read"], expires_at=past)
    row, revoked = keys.create(session, name="lost", scopes=["read"], expires_at=soon)
    assert keys.caller_of(session, revoked).key_id == row.id
    keys.revoke(session, row.prefix)
    for text in (expired, revoked):
        with pytest.raises(NotAuthenticated):
            keys.caller_of(session, text)
    with pytest.raises(NotFound):
        keys.revoke(session, "key_nothing")


@pytest.mark.parametrize("project", ["", "-a", "A", "a b", "a/b", SHARED_PROJECT, "x" * 51])
def test_a_project_has_a_plain_name(session: Session, project: str) -> None:
    with pytest.raises(UnusableInput, match="project"):
        keys.create(session, name="ward", scopes=["read"], project_id=project)


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "everything"]])
def test_there_are_four_scopes(session: Session, scopes: list[str]) -> None:
    with pytest.raises(UnusableInput, match="read, predict, train, admin"):
        keys.create(session, name="ward", scopes=scopes)


def test_no_scope_implies_another() -> None:
    for held in Scope:
        for wanted in Scope:
            caller = Caller("p", frozenset({held}))
            if held == wanted:
                caller.require([wanted])
                continue
            with pytest.raises(NotPermitted, match=wanted):
                caller.require([wanted])
