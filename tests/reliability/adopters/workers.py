"""A web application and a Celery worker whose service is made on import, before the server forks."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).parents[1]))

import rig

from userimages import ImageService
from userimages.config import service_from_env
from userimages.testing.faults import faulty, slow

FOLDER = Path(os.environ["USERIMAGES_DATA_DIR"])
made = service_from_env()
images = ImageService(made.storage, made.repository, processor=rig.instant_processor)
images.upload("parent", b"before the fork", image_type="cover")  # so that the parent has used its connections
images.open(images.list("parent")[0].id).close()
hanging = ImageService(
    faulty(made.storage, put=[None, slow(lambda: time.sleep(60))]), made.repository, processor=rig.instant_processor
)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Upload what is asked for; answer with the process."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    service = hanging if environ["PATH_INFO"] == "/hang" else images
    image = service.upload(query["user"], query["data"].encode(), image_type="gallery", is_primary=True)
    service.set_primary(image.id)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {image.id}".encode()]


try:
    from celery import Celery
except ModuleNotFoundError:
    pass
else:
    broker = FOLDER / "broker"
    jobs = Celery("workers", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
    jobs.conf.broker_transport_options = {
        "data_folder_in": str(broker),
        "data_folder_out": str(broker),
        "control_folder": str(FOLDER / "control"),
    }

    @jobs.task(name="upload")
    def upload(user: str, data: str) -> str:
        """Upload in a child of the pool."""
        return f"{os.getpid()} {images.upload(user, data.encode(), image_type='gallery', is_primary=True).id}"
