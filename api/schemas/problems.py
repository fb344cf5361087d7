"""The problem object, for the documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    loc: list[str | int] = Field(examples=[["query", "limit"]])
    msg: str = Field(examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["https://ectopy.dev/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no record rec_01kb2v0000000000000000000"])
    errors: list[FieldProblem] | None = None


_DESCRIPTIONS = {
    400: "malformed request or file",
    401: "no API key, or one that is not good",
    403: "the key lacks the scope, or this client may not call",
    404: "unknown id",
    408: "the body did not come in time",
    409: "conflict with the present state",
    413: "too large",
    415: "unknown format",
    422: "understood, but invalid",
    429: "too many requests; `Retry-After` says when to come back",
    503: "a part of the system, or a model, is not there; `detail` says what to do",
}


Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int, beside: Responses | None = None) -> Responses:
    """`responses=` of an endpoint: the problems it can answer with, beside what else it answers."""
    uploads = {408} if 413 in statuses else set()
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return (beside or {}) | {
        status: {"description": _DESCRIPTIONS[status], "content": schema}
        for status in sorted({401, 403, 422, 429, 503, *statuses, *uploads})
    }
