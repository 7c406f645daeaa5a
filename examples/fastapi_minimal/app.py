"""Pictures of people who have signed in: ``uvicorn --app-dir examples/fastapi_minimal app:app``."""

import secrets

import fastapi
from fastapi.security import HTTPBasic
from userimages_fastapi import create_router

from userimages import AsyncImageService
from userimages.config import service_from_env

PASSWORDS = {"ana": "change me"}  # your own table of users

app = fastapi.FastAPI()
basic = HTTPBasic()
images = AsyncImageService(service_from_env())


async def authorize(request: fastapi.Request, action: str, user: str) -> bool:
    who = await basic(request)  # if nobody has signed in, this answers 401 and the browser asks for a password
    assert who is not None
    password = PASSWORDS.get(who.username, secrets.token_hex())
    if not secrets.compare_digest(who.password.encode(), password.encode()):
        raise fastapi.HTTPException(401, "The name or the password is wrong.", {"WWW-Authenticate": "Basic"})
    return who.username == user


app.include_router(create_router(images, authorize=authorize), prefix="/api")
