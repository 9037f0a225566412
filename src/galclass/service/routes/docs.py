"""The API docs at /docs: Swagger UI from an installed package, so that nothing comes from another host."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse

from galclass.errors import RequestError
from galclass.service.routes.openapi import with_open_reading

_BUNDLE = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>galclass API</title>
<link rel="icon" href="docs/assets/favicon.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/docs.js" data-openapi="openapi.json"></script>
</body>
</html>
"""


def install_docs(app: FastAPI) -> None:
    """Add /docs and its files to an app, and what tokens open to its OpenAPI document."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        return app.openapi_schema or with_open_reading(make())

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @app.get("/docs/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        headers = {"Cache-Control": "public, max-age=86400"}
        if name == "docs.js":
            return FileResponse(str(files("galclass.service") / "assets" / name), headers=headers)
        if name not in _BUNDLE:
            raise RequestError("not_found", "no such file of the docs", field="name")
        return FileResponse(str(files("fastapi_offline") / "static" / name), headers=headers, media_type=_BUNDLE[name])
