"""The page for a browser: `/` and what it loads, all from this package, none from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response

from services.errors import NotFound

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).resolve().parents[1] / "web"
START = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing inline, nothing evaluated, nothing from another origin; no other site may frame the page.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def _served_files() -> dict[str, Path]:
    """What may be asked for, by its path: a name that is not here reaches no file."""
    found = (path for path in WEB.rglob("*") if path.suffix in MEDIA_TYPES)
    return {path.relative_to(WEB).as_posix(): path for path in found if path.is_file()}


_SERVED = _served_files()


@router.get("/")
def page(request: Request) -> Response:
    return _file(START, request)


@router.get("/web/{path:path}")
def asset(path: str, request: Request) -> Response:
    """Asked for again each time, so a new version is seen at once; 304 when nothing changed."""
    if path not in _SERVED:
        raise NotFound(f"the page has no file {path}")
    return _file(path, request)


def _file(name: str, request: Request) -> Response:
    content = _SERVED[name].read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = SECURITY_HEADERS | {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)
