"""What the OpenAPI document says beside the operations."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from api.callers import LOCAL_PATHS
from api.examples import add_examples
from api.schemas.problems import FieldProblem, Problem

DESCRIPTION = """
Reads ECGs with deep models. Upload a record and get a label for every beat.

**Research use only. Not a medical device.**
"""


def describe(app: FastAPI) -> None:
    """Adds the problem object's schema, which every operation's errors refer to."""
    app.description = DESCRIPTION
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = generate()
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            for model in (FieldProblem, Problem):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schema.pop("$defs", None)
                schemas[model.__name__] = schema
            add_examples(made)
            for path in LOCAL_PATHS:  # a watcher on this machine needs no key
                made["paths"][path]["get"]["security"].insert(0, {})
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
