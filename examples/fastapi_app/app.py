"""An application around the API: a login by name in a signed session."""

import html
import os
import secrets

import fastapi
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.middleware.sessions import SessionMiddleware

from userimages import AsyncImageService, ImageService
from userimages.config import service_from_env

from ..fastapi_minimal.userimages_fastapi import create_router

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>userimages</title>
<h1>The API is at /api/</h1>
<form method="post" action="/login">
  <label>Your name <input name="name" required></label> <button>Sign in</button>
</form>
"""


def create_app(service: ImageService | None = None) -> fastapi.FastAPI:
    """Make the application; its service comes from the environment unless one is given."""
    open_to_all = os.environ.get("USERIMAGES_EXAMPLE_OPEN") == "1"
    if open_to_all:
        print("USERIMAGES_EXAMPLE_OPEN=1: anyone may see and change anyone's pictures. For local trials only.")

    async def authorize(request: fastapi.Request, action: str, user: str) -> bool:
        return open_to_all or request.session.get("user") == user

    app = fastapi.FastAPI(title="userimages", openapi_url=None)
    app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SESSION_SECRET") or secrets.token_hex(32))
    images = AsyncImageService(service or service_from_env())
    app.include_router(create_router(images, authorize=authorize), prefix="/api")

    @app.get("/")
    async def home(request: fastapi.Request) -> HTMLResponse:
        user = request.session.get("user", "")
        mine = await images.list(user) if user else ()
        pictures = (
            f'<img src="{html.escape(each.url)}" alt="{html.escape(each.caption)}" height="160">' for each in mine
        )
        return HTMLResponse(PAGE + "\n".join(pictures))

    @app.post("/login")
    async def login(request: fastapi.Request) -> Response:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return Response(status_code=403)
        async with request.form() as form:
            request.session["user"] = str(form.get("name", "")).strip()[:150]
        return RedirectResponse("/", 303)

    return app
