"""Whether the files that a connection writes are still those that others will find: SQLite goes on writing into a file that was removed.

What is committed there is on no disk that anybody will ever read. So a ledger whose file or log was removed or replaced under it takes no
more money until its process is started again, when a human has looked.
"""

from pathlib import Path

_File = tuple[int, int]


class FilesReplaced(Exception):
    """The database's file, or its log, is gone or another one."""


class SameFiles:
    """Remembers a database's file and its log; used by the one thread that writes."""

    def __init__(self, database: Path) -> None:
        """Nothing is looked at yet."""
        self._log = Path(f"{database}-wal")
        self._paths = (database, self._log)
        self._found: dict[Path, _File] = {}
        self._replaced = ""

    def connecting(self) -> None:
        """Before a new connection: SQLite removes the log when the last one is closed, and makes another."""
        self._found.pop(self._log, None)

    def check(self) -> None:
        """Look again; inside a transaction, while both files are open. Two system calls.

        Raises:
            FilesReplaced: from then on at every call, since nobody knows what the files that are there now belong to.
        """
        if not self._replaced:
            self._replaced = next(filter(None, map(self._change_of, self._paths)), "")
        if self._replaced:
            raise FilesReplaced(self._replaced)

    def _change_of(self, path: Path) -> str:
        try:
            status = path.stat()
        except FileNotFoundError:
            return f"{path.name} was removed while it was in use; look at the files, then start the gateway again"
        if self._found.setdefault(path, (status.st_dev, status.st_ino)) != (status.st_dev, status.st_ino):
            return f"{path.name} was replaced while it was in use; look at the files, then start the gateway again"
        return ""
