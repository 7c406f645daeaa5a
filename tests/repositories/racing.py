"""What one process of a race does: ``racing.py URL VERB NUMBER ID...``; it starts when a line comes in."""

import sys
from uuid import UUID

from userimages.repositories.sqlalchemy import SQLAlchemyRepository


def main() -> None:
    url, verb, number, *ids = sys.argv[1:]
    repository = SQLAlchemyRepository(url)
    images = [UUID(id) for id in ids]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for step in range(int(number)):
        if verb == "set_primary":
            assert repository.set_primary(images[step % len(images)])
        elif verb == "watch":
            image = repository.get(images[0])
            assert image is not None
            listed = sum(each.is_primary for each in repository.list(image.user, limit=200))
            found = len(repository.primaries([image.user]))
            assert (listed, found) == (1, 1), f"a reader saw {listed} and {found} primaries"
        elif verb == "create_schema":
            repository.create_schema()
    repository.close()


main()
