"""The records and objects of tests: on Django's own connection, in memory, and gone with the test."""

import copy
import sqlite3
import sys
import weakref
from datetime import datetime

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from sqlalchemy import NullPool, create_engine

from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.memory import MemoryStorage


def under_test() -> bool:
    """Tell whether Django's test runner or pytest-django has set up its environment."""
    utils = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


class Objects:
    """Objects in memory that come and go as the rows of Django's tests do.

    A ``TestCase`` has a transaction for the class and one for each test. Objects belong to the innermost that is open;
    a test begins with those of its class. What other tests store is emptied with the tables.
    """

    def __init__(self) -> None:
        self._by_transaction: weakref.WeakKeyDictionary[Atomic, MemoryStorage] = weakref.WeakKeyDictionary()
        self.empty()

    def empty(self) -> None:
        self._outside = MemoryStorage()

    def of_this_test(self, connection: BaseDatabaseWrapper) -> MemoryStorage:
        storage = self._outside
        for transaction in connection.atomic_blocks:
            if transaction._from_testcase:
                storage = self._by_transaction.setdefault(transaction, copy.deepcopy(storage))
        return storage


def on_djangos_connection(alias: str) -> SQLAlchemyRepository:
    """Make a repository whose transactions are part of those of Django: for tests and for ``migrate``."""
    connection = connections[alias]
    options = {} if connection.vendor == "sqlite" else {"use_native_hstore": False}  # which asks for a real connection
    engine = create_engine(
        "sqlite://" if connection.vendor == "sqlite" else "postgresql+psycopg://",
        creator=lambda: Borrowed(connections[alias]),
        poolclass=NullPool,
        hide_parameters=True,
        **options,
    )
    return SQLAlchemyRepository(engine)


class Borrowed:
    """Django's connection, as SQLAlchemy uses one. Inside ``atomic()`` each transaction is a savepoint.

    The statements go to the driver, so they are not among the queries that Django counts.
    """

    autocommit = False  # SQLAlchemy sets it on PostgreSQL, and Django's own must not change
    isolation_level, in_transaction = "", True  # on SQLite: this class begins

    def __init__(self, django: BaseDatabaseWrapper) -> None:
        with django.cursor():  # opens the connection, or fails where a test may not use the database
            pass
        self._django, self._driver = django, django.connection
        self._end: tuple[str, ...] = ()

    def __getattr__(self, name: str):
        return getattr(self._driver, name)

    def create_function(self, *_, **__) -> None:
        """Leave the functions of SQL as they are: SQLAlchemy has another REGEXP than Django."""

    def add_notice_handler(self, handler: object) -> None:
        """Log no notices twice."""

    def cursor(self, *args, **kwargs):
        if not self._end:
            nested = not self._django.autocommit
            self._execute("SAVEPOINT userimages" if nested else "BEGIN")
            self._end = ("RELEASE SAVEPOINT userimages", "ROLLBACK TO SAVEPOINT userimages") if nested else ("COMMIT",)
        cursor = self._driver.cursor(*args, **kwargs)
        if self._django.vendor == "sqlite":
            cursor.row_factory = _as_stored
        return cursor

    def commit(self) -> None:
        if len(self._end) == 2:
            self._check_foreign_keys()
        if self._end:
            self._execute(self._end[0])
        self._end = ()

    def rollback(self) -> None:
        end, self._end = self._end, ()
        for statement in (*reversed(end[1:]), end[0]) if len(end) == 2 else ("ROLLBACK",) * len(end):
            self._execute(statement)

    def close(self) -> None:
        self.rollback()

    def _execute(self, statement: str) -> list[tuple]:
        cursor = self._driver.cursor()
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
        cursor.close()
        return found

    def _check_foreign_keys(self) -> None:
        """Refuse now what a deferred foreign key to an image would refuse at COMMIT, which a test never reaches."""
        if self._django.vendor == "sqlite":
            if any(row[2] == "userimages_images" for row in self._execute("PRAGMA foreign_key_check")):
                error = sqlite3.IntegrityError("FOREIGN KEY constraint failed")
                error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
                raise error
            return
        deferred = self._execute(
            "SELECT string_agg(DISTINCT format('%I.%I', nspname, conname), ', ') FROM pg_constraint "
            "JOIN pg_namespace ON pg_namespace.oid = connamespace "
            "WHERE confrelid = to_regclass('userimages_images') AND condeferred"
        )[0][0]
        if deferred:
            self._execute(f"SET CONSTRAINTS {deferred} IMMEDIATE")
            self._execute(f"SET CONSTRAINTS {deferred} DEFERRED")


def _as_stored(cursor: object, row: tuple) -> tuple:
    """Return the text of the instants that Django's connection to SQLite has converted."""
    return tuple(value.isoformat(" ") if isinstance(value, datetime) else value for value in row)
