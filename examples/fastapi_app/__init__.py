"""The API on FastAPI: ``uvicorn examples.fastapi_app:create_app --factory --port 8000``."""

from .app import create_app

__all__ = ["create_app"]
