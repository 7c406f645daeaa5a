"""The wire is cut: to PostgreSQL around a COMMIT, to the store after the request was forwarded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import rig
import wire

from userimages import ImageService, StorageError, StorageUnavailableError, UserImagesError
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage

OPERATIONS: dict[str, Callable[[ImageService, str, Any], object]] = {
    "upload": lambda images, user, there: images.upload(user, b"new", image_type="cover", idempotency_key="k"),
    "replace": lambda images, user, there: images.upload(
        user, b"new", image_type="gallery", replace=True, is_primary=True
    ),
    "set_primary": lambda images, user, there: images.set_primary(there[1].id),
    "update": lambda images, user, there: images.update(there[1].id, caption="after"),
    "delete": lambda images, user, there: images.delete(there[1].id),
    "delete_user": lambda images, user, there: images.delete_user(user),
    "sweep": lambda images, user, there: images.sweep(),
}


@pytest.fixture
def database(own_database: str) -> Iterator[wire.DatabaseProxy]:
    """Put the proxy in front of this test's database."""
    from sqlalchemy import make_url

    url = make_url(own_database)
    folder = url.query["host"]
    proxy = wire.DatabaseProxy(str(next(Path(str(folder)).glob(".s.PGSQL.*[0-9]"))))
    proxy.url = f"postgresql://{url.username}@127.0.0.1:{proxy.port}/{url.database}?sslmode=disable"
    yield proxy
    proxy.close()


@pytest.fixture
def store(seaweedfs: Any, bucket: Any) -> Iterator[wire.StoreProxy]:
    """Put the proxy in front of the S3 server."""
    proxy = wire.StoreProxy(seaweedfs.endpoint)
    proxy.storage = attrs.evolve(bucket, endpoint_url=proxy.endpoint)
    yield proxy
    proxy.storage.client.close()
    proxy.close()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("how", ["before", "at", "after"] if rig.TORTURE else ["after"])
def test_a_connection_cut_at_a_commit_loses_nothing(
    database: wire.DatabaseProxy, own_database: str, clock: rig.Clock, operation: str, how: str
) -> None:
    """A connection that is cut around a commit loses nothing."""
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    direct = SQLAlchemyRepository(own_database)
    direct.create_schema()
    storage = MemoryStorage()
    healthy = ImageService(storage, direct, processor=rig.instant_processor, clock=clock)
    cut_off = SQLAlchemyRepository(database.url)
    images = ImageService(storage, cut_off, processor=rig.instant_processor, clock=clock)
    number, was_cut = 0, True
    while was_cut:  # cut the first, the second ... COMMIT, until there is none to cut
        number += 1
        user = rig.new_user()
        there = [healthy.upload(user, bytes([n]), image_type="gallery", is_primary=n == 0) for n in range(2)]
        database.plan, database.cuts = [None] * (number - 1) + [how], 0
        done = None
        try:
            done = OPERATIONS[operation](images, user, there)
        except UserImagesError:
            if not database.cuts:
                raise
        rig.wait_until_alone(rig.Place("", storage, direct, own_database))
        listed = rig.check_whole(healthy, user)
        if operation in {"upload", "replace"} and done is not None:
            assert str(done.id) in listed
        if operation not in {"replace", "delete", "delete_user"}:
            assert {str(each.id) for each in there} <= set(listed)
        if operation != "delete_user":
            assert healthy.primary(user) is not None
        rig.sweep_twice(healthy, clock)
        assert rig.check_whole(healthy, user).keys() == listed.keys()
        rig.check_nothing_left(healthy, [user])
        was_cut = database.cuts == 1
        rig.count("connections cut around a COMMIT", was_cut)
    cut_off.close()
    direct.close()


def test_a_publish_committed_but_unanswered_is_done(database: wire.DatabaseProxy, own_database: str) -> None:
    """A publish whose commit was done, but not answered, is a success."""
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    repository = SQLAlchemyRepository(database.url)
    repository.create_schema()
    images = ImageService(MemoryStorage(), repository, processor=rig.instant_processor)
    database.plan = [None, "after"]
    image = images.upload("ana", b"new", image_type="cover")
    assert database.cuts == 1
    assert [each.id for each in images.list("ana")] == [image.id]
    repository.close()


FAULTS = ["cut in the middle", "cut after", "503"] + ["cut before", "429", "501", "412", "500"] * rig.TORTURE


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 9], ids=["once", "lasting"])
def test_no_fault_of_the_wire_loses_or_leaves_anything(
    store: wire.StoreProxy, bucket: Any, clock: rig.Clock, fault: str, times: int
) -> None:
    """No fault of the wire to the store loses or leaves anything."""
    repository = MemoryRepository()
    healthy = ImageService(bucket, repository, processor=rig.instant_processor, clock=clock)
    images = ImageService(store.storage, repository, processor=rig.instant_processor, clock=clock)
    for operation, method in (("upload", "PUT"), ("replace", "PUT"), ("delete", "POST"), ("delete_user", "POST")):
        user = rig.new_user()
        there = [healthy.upload(user, bytes([n]) * 99, image_type="gallery", is_primary=n == 0) for n in range(2)]
        store.plan.clear()
        store.plan[method] = [fault] * times
        done = None
        try:
            done = OPERATIONS[operation](images, user, there)
        except StorageError:
            if times == 1 and fault not in {"501", "412"}:
                raise
        store.plan.clear()
        listed = rig.check_whole(healthy, user)
        if operation in {"upload", "replace"} and done is not None:
            assert str(done.id) in listed
        if operation == "upload":
            assert {str(each.id) for each in there} <= set(listed)
        rig.sweep_twice(healthy, clock)
        assert rig.check_whole(healthy, user).keys() == listed.keys()
        rig.check_nothing_left(healthy, [user])
        healthy.delete_user(user)
    rig.count("faults on the wire to the store", store.faults)


def test_a_put_done_but_not_answered_is_a_success(store: wire.StoreProxy) -> None:
    """A put that was done but not answered is a success."""
    images = ImageService(store.storage, MemoryRepository(), processor=rig.instant_processor)
    store.plan["PUT"] = ["cut after"]
    user = rig.new_user()
    image = images.upload(user, b"new", image_type="cover")
    assert store.faults == 1
    rig.check_whole(images, user)
    images.delete(image.id)


def test_an_answer_that_breaks_off_is_a_typed_error(store: wire.StoreProxy) -> None:
    """An answer that breaks off is a typed error."""
    images = ImageService(store.storage, MemoryRepository(), processor=rig.instant_processor)
    image = images.upload(rig.new_user(), b"new" * 1000, image_type="cover")
    store.plan["GET"] = ["cut the answer"]
    with images.open(image.id) as stream, pytest.raises(StorageUnavailableError):
        stream.read()
    images.delete(image.id)
