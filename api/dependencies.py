"""Typed dependencies, so that an endpoint's signature says what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from api.state import ApiState
from services.access.idempotency import IdempotentRequest


def api_state(request: Request) -> ApiState:
    state: ApiState = request.app.state.ectopy
    return state


State = Annotated[ApiState, Depends(api_state)]


def reading_session(state: State) -> Iterator[Session]:
    with state.sessions() as session:
        yield session


def idempotent_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="The same key and body give the same resource; another body is 409."),
    ] = None,
) -> IdempotentRequest:
    return IdempotentRequest(f"{request.method} {request.url.path}", idempotency_key)


ReadSession = Annotated[Session, Depends(reading_session)]
Idempotent = Annotated[IdempotentRequest, Depends(idempotent_request)]
