"""Any sequence of calls, crashes, faults, late puts and clock jumps, against a plain dictionary."""

import itertools
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import rig
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from userimages import (
    ConflictError,
    ImageNotFoundError,
    ImageService,
    ImageType,
    KeyTakenError,
    Ticket,
    UserImagesError,
)
from userimages.errors import TicketNotFoundError
from userimages.ids import instant_of
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import faults
from userimages.testing.faults import Call, faulty

METHODS = {
    "storage": ["put", "delete", "list", "open"],
    "repository": rig.REPOSITORY_METHODS,
}
PROFILE = settings(
    max_examples=rig.RUNS,
    stateful_step_count=50,
    derandomize=not rig.TORTURE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NEW = "the new image"
HARMLESS = "a sweep meanwhile"
KINDS = ["crash before", "crash after", "fails before", "fails after", "lands late", "overtaken by a sweep", HARMLESS]
types = st.sampled_from(list(ImageType))
whose = st.integers(0, 1)
picks = st.integers(0, 7)
contents = st.sampled_from([b"one", b"two"])


class Crash(BaseException):
    """The process ends here, as it were: nothing of ours catches it."""


@attrs.frozen
class State:
    """What a user has, by id: type, caption and idempotency key with input; and which is primary."""

    images: dict[str, tuple[str, str, Any]] = attrs.field(factory=dict)
    primary: str | None = None

    def without(self, *ids: str) -> "State":
        kept = {id: facts for id, facts in self.images.items() if id not in ids}
        return State(kept, self.primary if self.primary in kept else None)

    def with_image(self, id: str, facts: tuple[str, str, Any], *, is_primary: bool, replace: bool) -> "State":
        old = [each for each, (type, _, _) in self.images.items() if replace and type == facts[0]]
        kept = self.without(*old)
        return State({**kept.images, id: facts}, id if is_primary else kept.primary)


@st.composite
def troubles(draw: st.DrawFn) -> tuple[str, int] | None:
    """Draw at which call of a port what happens, or that nothing does."""
    kind = draw(st.sampled_from([None, *KINDS]))
    return kind and (kind, draw(st.integers(1, 9)))


@attrs.define
class Direct:
    """What became of a ticket: whether something is staged (None: perhaps), whether it has made its image."""

    ticket: Ticket
    user: str
    staged: bool | None = False
    made: bool = False
    cut: bool = False

    def age(self, now: datetime) -> timedelta:
        return now - instant_of(self.ticket.id)


class Machine(RuleBasedStateMachine):
    parts: Callable[[], tuple[Any, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.storage, self.repository = type(self).parts()
        self.clock = rig.Clock()
        self.latest = self.clock.now
        self.users = [rig.new_user(), rig.new_user()]
        self.model = {user: State() for user in self.users}
        self.cut: set[tuple[str, str]] = set()
        self.direct: list[Direct] = []
        self.late: list[tuple[Any, Call]] = []
        self.compared: str | None = None  # by the step itself
        self.images = rig.service(self.storage, self.repository, self.clock)
        rig.count("runs of the state machine", 1)

    @rule(n=whose, type=types, is_primary=st.booleans(), replace=st.booleans(), data=contents, trouble=troubles())
    def upload(self, *, n: int, type: ImageType, is_primary: bool, replace: bool, data: bytes, trouble: Any) -> None:
        user, before = self.users[n], self.model[self.users[n]]
        after = before.with_image(NEW, (type, "", None), is_primary=is_primary, replace=replace)
        self._act(
            trouble,
            user,
            after,
            lambda images: images.upload(user, data, image_type=type, is_primary=is_primary, replace=replace),
        )

    @rule(n=whose, data=contents, key=st.sampled_from(["k1", "k2"]), trouble=troubles())
    def upload_with_key(self, n: int, data: bytes, key: str, trouble: Any) -> None:
        user, before = self.users[n], self.model[self.users[n]]
        made = next((id for id, facts in before.images.items() if facts[2] and facts[2][0] == key), None)
        conflict = (user, key) in self.cut
        if made is None:
            after = before.with_image(NEW, ("cover", "", (key, data)), is_primary=False, replace=False)
            self.cut.add((user, key))  # until it is known to have ended well
        else:
            after, conflict = before, conflict or before.images[made][2][1] != data
        done = self._act(
            trouble,
            user,
            after,
            lambda images: images.upload(user, data, image_type="cover", idempotency_key=key),
            may_conflict=conflict,
        )
        if done is not None:
            assert made in (None, str(done.id))
            assert made is None or before.images[made][2][1] == data
            self.cut.discard((user, key))

    @rule(n=whose, pick=picks, trouble=troubles())
    def set_primary(self, n: int, pick: int, trouble: Any) -> None:
        user, before = self.users[n], self.model[self.users[n]]
        if id := self._picked(user, pick):
            self._act(trouble, user, State(before.images, id), lambda images: images.set_primary(id))

    @rule(n=whose, pick=picks, caption=st.sampled_from(["a", "b"]), trouble=troubles())
    def update(self, n: int, pick: int, caption: str, trouble: Any) -> None:
        user, before = self.users[n], self.model[self.users[n]]
        if id := self._picked(user, pick):
            type, _, key = before.images[id]
            after = State({**before.images, id: (type, caption, key)}, before.primary)
            self._act(trouble, user, after, lambda images: images.update(id, caption=caption))

    @rule(n=whose, pick=picks, trouble=troubles())
    def delete(self, n: int, pick: int, trouble: Any) -> None:
        user, before = self.users[n], self.model[self.users[n]]
        if id := self._picked(user, pick):
            self._act(trouble, user, before.without(id), lambda images: images.delete(id))

    @rule(n=whose, trouble=troubles())
    def delete_user(self, n: int, trouble: Any) -> None:
        user = self.users[n]
        self._act(trouble, user, State(), lambda images: images.delete_user(user), piecewise=True)
        for direct in self.direct:
            if direct.user == user and direct.staged:
                direct.staged = None

    @rule(n=whose, steps=st.integers(1, 3), trouble=troubles())
    def begin_upload(self, *, n: int, steps: int, trouble: Any) -> None:
        """Begin a direct upload; put and finish it too, or leave that to other rules. The last step is in trouble."""
        user = self.users[n]
        ticket = self._act(
            trouble if steps == 1 else None,
            user,
            self.model[user],
            lambda images: images.begin_upload(user, size_bytes=3, mime_type="image/jpeg"),
        )
        if ticket is not None:
            self.direct.append(Direct(ticket, user))
            if steps > 1:
                self.put(pick=0, data=b"one", trouble=trouble if steps == 2 else None)
            if steps > 2:
                self.finish(pick=0, trouble=trouble)

    @precondition(lambda self: self.direct)
    @rule(pick=picks, data=contents, trouble=troubles())
    def put(self, pick: int, data: bytes, trouble: Any) -> None:
        """Put, put again, put late, and put what was finished or deleted long ago."""
        direct = self.direct[-1 - max(pick - 4, 0) % len(self.direct)]  # often the last one
        if direct.age(self.latest) > timedelta(minutes=90):
            return  # only a clock that went back by hours makes its URL valid again
        outcome = self._act(
            trouble, direct.user, self.model[direct.user], lambda images: rig.put_directly(images, direct.ticket, data)
        )
        if outcome == "stored" and direct.age(self.latest) < timedelta(minutes=30):
            direct.staged = True
        elif outcome != "refused" and not direct.staged:
            direct.staged = None

    @precondition(lambda self: self.direct)
    @rule(pick=picks, trouble=troubles())
    def finish(self, pick: int, trouble: Any) -> None:
        direct = self.direct[-1 - max(pick - 4, 0) % len(self.direct)]  # often the last one
        id, before = str(direct.ticket.id), self.model[direct.user]
        is_there, is_open = id in before.images, direct.age(self.latest) < timedelta(minutes=30)
        after = before
        if not (is_there or direct.made or direct.staged is False):
            after = before.with_image(id, ("cover", "", None), is_primary=False, replace=False)

        def call(images: ImageService) -> Any:
            try:
                return images.finish_upload(direct.user, id, image_type="cover")
            except TicketNotFoundError:
                assert not is_there
                assert direct.made or not (direct.staged and is_open) or trouble
                return None

        unsure = after != before and (direct.cut or direct.staged is None or not is_open)
        direct.cut = direct.cut or after != before
        done = self._act(trouble, direct.user, after, call, may_conflict=unsure)
        if done is not None:
            assert (str(done.id), is_there or after != before) == (id, True)
            direct.cut = False
        if id in self.model[direct.user].images and not is_there:
            direct.made = True
            rig.count("direct uploads of the state machine", 1)

    @rule(n=whose, pick=picks)
    def another_users_image_is_not_found(self, n: int, pick: int) -> None:
        if id := self._picked(self.users[n], pick):
            for call in (self.images.get, self.images.set_primary, self.images.delete):
                with pytest.raises(ImageNotFoundError):
                    call(id, user=self.users[1 - n])

    @rule(trouble=troubles())
    def sweep(self, trouble: Any) -> None:
        user = self.users[0]
        self._act(trouble, user, self.model[user], lambda images: images.sweep())

    @rule(minutes=st.sampled_from([-90, -5, 1, 11, 16, 40, 75, 180]))
    def the_clock_jumps(self, minutes: int) -> None:
        self.jump(minutes)

    def jump(self, minutes: int) -> None:
        self.clock.move(minutes=minutes)
        self.latest = max(self.latest, self.clock.now)
        over = [late for late, _ in self.late if (self.clock.now - late).total_seconds() > 50 * 60]
        if over:
            self.land()

    @precondition(lambda self: self.late)
    @rule()
    def land(self) -> None:
        for _, call in self.late:
            with suppress(KeyTakenError):  # it was put again in the meantime
                call.do()
        self.late.clear()

    @invariant()
    def what_is_listed_is_whole_and_as_the_dictionary_says(self) -> None:
        for user in self.users:
            if user != self.compared:
                self._compare(user, [self.model[user]])
        self.compared = None

    def teardown(self) -> None:
        self.land()
        self.clock.now = self.latest
        rig.sweep_twice(self.images, self.clock)
        rig.check_nothing_left(self.images, self.users)

    def _picked(self, user: str, pick: int) -> str | None:
        ids = list(self.model[user].images)
        return ids[pick % len(ids)] if ids else None

    def _act(
        self,
        trouble: tuple[str, int] | None,
        user: str,
        after: State,
        call: Callable[[ImageService], Any],
        *,
        may_conflict: bool = False,
        piecewise: bool = False,
    ) -> Any:
        """Do it in trouble; success means *after*, anything else that or what was before."""
        before = self.model[user]
        images = self._troubled(*trouble) if trouble else self.images
        if trouble and trouble[0] == HARMLESS:
            trouble = None
        try:
            done = call(images)
        except ConflictError:
            if not (may_conflict or trouble):
                raise
            done = None
        except (UserImagesError, Crash):
            if not trouble:
                raise
            done = None
        allowed = [after] if done is not None or not trouble else [before, after]
        if may_conflict and done is None:
            allowed = [before, after]
        self._compare(user, allowed, between=(before, after) if piecewise and trouble else None)
        self.compared = user
        return done

    def _compare(self, user: str, allowed: list[State], between: Any = None) -> None:
        """Compare what is listed with what is allowed, and learn which it was."""
        listed = rig.check_whole(self.images, user)
        seen = {id: (each.image_type, each.caption) for id, each in listed.items()}
        primary = next((id for id, each in listed.items() if each.is_primary), None)
        if between:
            gone = set(between[0].images) - set(listed)
            allowed = [*allowed, between[0].without(*gone)]
        for state in allowed:
            named = _with_ids(state, set(seen) - set(self.model[user].images))
            facts = {id: each[:2] for id, each in named.images.items()}
            if facts == seen and named.primary == primary:
                self.model[user] = named
                return
        raise AssertionError(f"{seen} and primary {primary}, not one of {allowed}")

    def _troubled(self, kind: str, at: int) -> ImageService:
        """Make a service whose port call number *at* goes wrong."""
        calls = itertools.count(1)  # its next() is one step for threads, which put side by side

        def planned(call: Call, error: Exception, is_put: bool) -> Any:
            if next(calls) != at:
                return call.do()
            if kind in {HARMLESS, "overtaken by a sweep"}:
                if kind != HARMLESS:
                    self.jump(16)
                self.images.sweep()
                return call.do()
            if kind == "lands late" and is_put:
                self.late.append((self.clock.now, call))
                raise error
            if kind.endswith("after"):
                getattr(call.do(), "close", bool)()
            raise Crash if kind.startswith("crash") else error

        errors = {"storage": faults.TIMED_OUT, "repository": faults.CONNECTION_LOST}
        ports = {
            port: faulty(
                getattr(self, port),
                **{name: lambda call, e=errors[port], is_put=name == "put": planned(call, e, is_put) for name in names},
            )
            for port, names in METHODS.items()
        }
        return rig.service(ports["storage"], ports["repository"], self.clock)


def _with_ids(state: State, new: set[str]) -> State:
    """Give the new image the id that it has got."""
    if NEW not in state.images or len(new) != 1:
        return state
    (id,) = new
    images = {id if each == NEW else each: facts for each, facts in state.images.items()}
    return State(images, id if state.primary == NEW else state.primary)


def _run(parts: Callable[[], tuple[Any, Any]]) -> None:
    machine = type("Machine", (Machine,), {"parts": staticmethod(parts)})
    run_state_machine_as_test(machine, settings=PROFILE)


def test_no_sequence_breaks_it_in_memory() -> None:
    """No sequence breaks it in memory."""
    _run(lambda: (MemoryStorage(), MemoryRepository()))


def test_no_sequence_breaks_it_on_sqlite_and_disk(tmp_path: Path) -> None:
    """No sequence breaks it on SQLite and disk."""
    from userimages.repositories.sqlalchemy import SQLAlchemyRepository
    from userimages.storages.disk import DiskStorage

    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else tmp_path) as folder:
        repository = SQLAlchemyRepository(f"sqlite:///{folder}/db.sqlite3")
        repository.create_schema()
        storage = DiskStorage(f"{folder}/objects")
        _run(lambda: (storage, repository))
        repository.close()


def test_no_sequence_breaks_it_on_postgresql(own_database: str) -> None:
    """No sequence breaks it on PostgreSQL."""
    import psycopg

    from userimages.repositories.sqlalchemy import SQLAlchemyRepository

    with psycopg.connect(own_database, autocommit=True) as connection:  # nothing here cuts the power
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    repository = SQLAlchemyRepository(own_database)
    repository.create_schema()

    def empty() -> tuple[MemoryStorage, SQLAlchemyRepository]:
        with psycopg.connect(own_database, autocommit=True) as connection:  # a new store belongs to an empty database
            connection.execute("TRUNCATE userimages_images, userimages_intents, userimages_primaries")
        return MemoryStorage(), repository

    _run(empty)
    repository.close()
