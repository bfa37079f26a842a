"""A disk that forgets: an SQLite file system that keeps apart what was written and what was synced, and a power cut that keeps of the
unsynced writes only some, in no order, and tears one.

`Disk` counts syncs too. `driver` is a DB-API over apsw, whose SQLite is the one that can be given a file system in Python.
"""

import types
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512


@dataclass
class _File:
    synced: bytearray
    pending: list = field(default_factory=list)  # (offset, bytes) or (size, None) for a truncation


class Disk(apsw.VFS):
    """Registered under its name for as long as it lives.

    Attributes:
        syncs: how many xSync calls there were.
        writes: how many xWrite calls there were.
    """

    def __init__(self, name):
        self.name, self.syncs, self.writes = name, 0, 0
        self._files = {}
        self._cut_at, self._on_cut, self._snapshot = None, None, None
        super().__init__(name, "unix")

    def xOpen(self, name, flags):
        path = name if isinstance(name, str) else name.filename()
        if path is not None and path not in self._files:
            existing = Path(path)
            self._files[path] = _File(bytearray(existing.read_bytes() if existing.exists() else b""))
        return _Handle(self, path, name, flags)

    def xDelete(self, name, syncdir):
        self._files.pop(name, None)
        super().xDelete(name, syncdir)

    def cut_at(self, write, on_cut):
        """Remember the disk as it is at that xWrite; `on_cut()` is called at the same moment."""
        self._cut_at, self._on_cut = write, on_cut

    @property
    def is_cut(self):
        return self._snapshot is not None

    def wrote(self, path, change):
        self.writes += 1
        if self.writes == self._cut_at:
            self._snapshot = {path: (bytes(file.synced), list(file.pending)) for path, file in self._files.items()}
            self._on_cut()
        if path is not None:
            self._files[path].pending.append(change)

    def synced(self, path):
        self.syncs += 1
        if path is not None:
            file = self._files[path]
            for change in file.pending:
                _apply(file.synced, change)
            file.pending.clear()

    def after_the_cut(self, folder, rng):
        """Write what a machine finds when it starts again."""
        assert self.is_cut
        survives = rng.choice([0.0, 0.5, 0.9])
        for path, (synced, pending) in self._snapshot.items():
            if path.endswith("-shm"):
                continue
            content = bytearray(synced)
            for change in pending:
                if rng.random() < survives:
                    _apply(content, _torn(change, rng))
            (folder / Path(path).name).write_bytes(content)


class _Handle(apsw.VFSFile):
    def __init__(self, disk, path, name, flags):
        self._disk, self._path = disk, path
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        self._disk.wrote(self._path, (offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size):
        self._disk.wrote(self._path, (size, None))
        super().xTruncate(size)

    def xSync(self, flags):
        super().xSync(flags)
        self._disk.synced(self._path)


def _apply(content, change):
    at, data = change
    if data is None:
        del content[at:]
    else:
        content.extend(bytes(max(0, at + len(data) - len(content))))
        content[at : at + len(data)] = data


def _torn(change, rng):
    at, data = change
    if data is None or len(data) <= SECTOR or rng.random() < 0.9:
        return change
    return at, data[: SECTOR * rng.randrange(1, -(-len(data) // SECTOR))]


def driver(disk):
    """A DB-API 2 module, as far as SQLAlchemy's SQLite dialect asks for one."""
    module = types.SimpleNamespace(
        paramstyle="qmark",
        threadsafety=1,
        sqlite_version=apsw.sqlite_lib_version(),
        sqlite_version_info=tuple(map(int, apsw.sqlite_lib_version().split("."))),
        Binary=bytes,
        **_ERRORS,
    )
    module.connect = lambda path, timeout=5.0, **_: _Connection(apsw.Connection(path, vfs=disk.name), timeout)
    return module


class Error(Exception):
    pass


_ERRORS = {"Error": Error}
for _name in ("DatabaseError", "InterfaceError"):
    _ERRORS[_name] = type(_name, (Error,), {})
for _name in ("OperationalError", "IntegrityError", "ProgrammingError", "InternalError", "DataError", "NotSupportedError"):
    _ERRORS[_name] = type(_name, (_ERRORS["DatabaseError"],), {})


class _Connection:
    isolation_level = None

    def __init__(self, connection, timeout):
        self._connection = connection
        connection.set_busy_timeout(int(timeout * 1000))

    def cursor(self):
        return _Cursor(self._connection)

    def create_function(self, name, arguments, function, deterministic=False):
        self._connection.create_scalar_function(name, function, arguments, deterministic=deterministic)

    def commit(self):
        self._end("COMMIT")

    def rollback(self):
        self._end("ROLLBACK")

    def _end(self, how):
        if self._connection.in_transaction:
            self.cursor().execute(how)

    def close(self):
        self._connection.close()


class _Cursor:
    arraysize = 1

    def __init__(self, connection):
        self._connection = connection
        self._rows, self.description, self.rowcount, self.lastrowid = iter(()), None, -1, None

    def execute(self, sql, values=()):
        cursor = self._connection.cursor()
        cursor.exec_trace = self._describe
        try:
            self._rows = iter(list(cursor.execute(sql, tuple(values))))
        except apsw.ConstraintError as error:
            raise _ERRORS["IntegrityError"](str(error)) from error
        except apsw.Error as error:
            raise _ERRORS["OperationalError"](str(error)) from error
        self.rowcount = self._connection.changes()
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def executemany(self, sql, rows):
        for row in rows:
            self.execute(sql, row)
        return self

    def _describe(self, cursor, _sql, _bindings):
        found = cursor.get_description()
        self.description = [(name, kind, None, None, None, None, None) for name, kind in found] or None
        return True

    def fetchone(self):
        return next(self._rows, None)

    def fetchall(self):
        return list(self._rows)

    def fetchmany(self, size=None):
        return [row for row, _ in zip(self._rows, range(size or self.arraysize), strict=False)]

    def close(self):
        pass
