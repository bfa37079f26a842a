"""A copy of an SQLite database at one moment, made while others write."""

import os
from contextlib import closing
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine


def back_up(engine: Engine, file: Path) -> None:
    """Copy the whole database. The file has its name only once all of it is on the disk.

    Raises:
        OSError, sqlite3.Error: it can't be written.
    """
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(engine.raw_connection()) as source, closing(sqlite.connect(str(part))) as copy:
            sqlite.Connection.backup(source.driver_connection, copy)  # in one read transaction, so that writers go on
        _wait_for_the_disk(part)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    _wait_for_the_disk(file.absolute().parent)


def _wait_for_the_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
