"""`/docs` without the web: Swagger UI comes from an installed package, not from a CDN.

A hospital's machine may reach nothing outside, and a page of its service should run no script from
elsewhere.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Serves `/docs` and what it loads."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Ectopy",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page

    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")))
