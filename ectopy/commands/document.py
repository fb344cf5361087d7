"""`ectopy openapi`: the interface as a document, made without a database."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson

from api.main import create_app
from services.settings import Settings


def document() -> str:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder)))
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2).decode() + "\n"
