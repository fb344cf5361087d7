"""`/docs` without the web: Swagger UI comes from an installed package, not from a CDN.

A hospital's machine may reach nothing outside, and a page of its service should run no script from
elsewhere.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"
PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">
<link rel="icon" href="{ASSETS}/favicon.png">
<title>Ectopy</title>
</head>
<body>
<div id="swagger-ui"></div>
<script src="{ASSETS}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
# Swagger UI sets styles on its elements, and draws its icons from data; no script is inline
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Frame-Options": "DENY",
}


def install(app: FastAPI) -> None:
    """Serves `/docs` and what it loads."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(PAGE, media_type="text/html; charset=utf-8", headers=HEADERS)

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(START, media_type="text/javascript; charset=utf-8", headers=HEADERS)

    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")))
