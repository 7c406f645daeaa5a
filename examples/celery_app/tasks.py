"""A rebuild on Celery and Redis: a page of images is a task, and any number of workers shares them.

::

    pip install 'userimages[postgresql]' 'celery[redis]'
    celery --app tasks worker --concurrency 2             # on as many machines as you like
    celery --app tasks call tasks.rebuild                 # once, after the deploy
    userimages --app tasks:images rebuild                 # in the end: what is left, and what failed

All workers need the same database and the same store: the settings of ``userimages`` are those of the application.
"""

import os

from celery import Celery

from userimages import BusyError, RepositoryError, StorageUnavailableError
from userimages.config import service_from_env
from userimages.processing import Fill, Fit, PillowProcessor, Recipe

# Images in a task: half a minute of work or less.
PAGE = int(os.environ.get("REBUILD_PAGE", "200"))

# Your application has such a module already: import its service in place of this one.
card = Recipe(variants={"320": Fit(320), "640": Fit(640), "1280": Fit(1280), "card": Fill(300, 200)})
images = service_from_env(processor=PillowProcessor(recipes={"gallery": card}))

app = Celery("tasks", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(
    task_ignore_result=True,  # a record knows the recipe of its variants: there is nothing else to keep
    # A message is removed when its task has ended, and comes back if the process that had it was killed.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # If a whole worker was killed, Redis gives its tasks to others after so many seconds. A task that takes longer is
    # done twice at once, which does no harm and is a waste.
    broker_transport_options={"visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "900"))},
    worker_prefetch_multiplier=1,  # a worker takes a page when it has a free process, and keeps none from the others
    broker_connection_retry_on_startup=True,
    beat_schedule={"sweep": {"task": "tasks.sweep", "schedule": 60.0}},
)

# What may go away by itself. Whatever else a task raises would meet it again.
AGAIN = {
    "autoretry_for": (BusyError, RepositoryError, StorageUnavailableError),
    "retry_backoff": True,
    "retry_backoff_max": 600,
    "max_retries": 20,
}


@app.task(**AGAIN)
def rebuild() -> None:
    """Send each page of images as a task. Done twice, it sends pages twice, and the second time nothing is due."""
    after = ""
    while rows := images.repository.list_by_key(after=after, limit=PAGE):
        rebuild_page.delay(after)
        after = rows[-1].key


@app.task(**AGAIN)
def rebuild_page(after: str) -> None:
    """Make new variants of the images of one page. What is done already is passed over, so it may be repeated.

    An image that cannot be made again is logged and keeps what it has.
    """
    images.rebuild_all(after=after, limit=PAGE)


@app.task(**AGAIN)
def sweep() -> None:
    """Finish what was cut off, and delete the old variants when their 24 hours are over."""
    images.sweep()
