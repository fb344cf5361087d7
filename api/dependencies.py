"""Typed dependencies, so that an endpoint's signature says what it needs.

All are coroutines although none waits: FastAPI runs the others in a thread, each a way there and
back that costs more than what they do.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes

from api.callers import STATE_NAME
from api.state import ApiState
from services.access.caller import Caller
from services.access.idempotency import MAX_KEY_LENGTH, IdempotentRequest


async def api_state(request: Request) -> ApiState:
    state: ApiState = request.app.state.ectopy
    return state


State = Annotated[ApiState, Depends(api_state)]


_key = HTTPBearer(
    scheme_name="key",
    auto_error=False,
    description="Made by `ectopy keys create`. Until there is one, local clients need none.",
)


async def permitted(
    request: Request, scopes: SecurityScopes, _: Annotated[object, Security(_key)]
) -> Caller:
    """The caller, whom the middleware knows; NotPermitted unless one of the scopes is held."""
    caller: Caller = getattr(request.state, STATE_NAME)
    caller.require(scopes.scopes)
    return caller


async def known_caller(request: Request) -> Caller:
    caller: Caller = getattr(request.state, STATE_NAME)
    return caller


async def idempotent_request(
    request: Request,
    caller: Annotated[Caller, Depends(known_caller)],
    idempotency_key: Annotated[
        str | None,
        Header(
            description="The same key and body give the same resource; another body is 409.",
            json_schema_extra={"minLength": 1, "maxLength": MAX_KEY_LENGTH},
        ),
    ] = None,
) -> IdempotentRequest:
    return IdempotentRequest(
        f"{request.method} {request.url.path}", idempotency_key, project_id=caller.project_id
    )


Idempotent = Annotated[IdempotentRequest, Depends(idempotent_request)]

# the caller, who holds the scope (one of them, where there are two)
Reads = Annotated[Caller, Security(permitted, scopes=["read"])]
Predicts = Annotated[Caller, Security(permitted, scopes=["predict"])]
Trains = Annotated[Caller, Security(permitted, scopes=["train"])]
Administers = Annotated[Caller, Security(permitted, scopes=["admin"])]
Stores = Annotated[Caller, Security(permitted, scopes=["predict", "train"])]
