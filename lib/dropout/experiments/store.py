"""Finished runs, in one SQLite file: whatever ends a study, no run that was finished is lost.

A run is one row, written in one transaction. Several processes of one machine may work on a store:
a process claims a run before it begins, and its claims end with it, since it holds a lock that the
system releases. SQLite's write-ahead log needs memory that its users share, so a store has one host
at a time; several machines work on one study by Dask.
"""

import json
import os
import re
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from dropout.experiments.study import Finished, Study

FORMAT = 1  # of the tables below
TABLES = """
CREATE TABLE runs (key TEXT PRIMARY KEY, study TEXT NOT NULL, settings TEXT NOT NULL,
                   result TEXT NOT NULL, seconds REAL NOT NULL, surroundings TEXT NOT NULL,
                   finished TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL);
"""
OWNER = re.compile(r"(?P<host>.+)\.(?P<pid>\d+)\.[0-9a-f]{8}")
WAIT = 60.0  # seconds, for another process that writes


class StoreError(Exception):
    """A store that cannot be used, and what can be done about it."""


def default_path() -> Path:
    """$DROPOUT_RUNS, else runs.sqlite below $XDG_STATE_HOME, by default ~/.local/state.

    Raises StoreError where that needs the user's home, and the system knows of none.
    """
    try:
        if named := os.environ.get("DROPOUT_RUNS"):
            return Path(named).expanduser()
        home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    except RuntimeError as error:
        raise StoreError(f"{error}: name a file by --store or DROPOUT_RUNS") from error
    return home / "dropout-book" / "runs.sqlite"


class Store:
    """The runs in a file, which is made where there is none. A context manager.

    Raises StoreError where the file cannot be opened, is none of ours or of another format, or is
    in use on another host.
    """

    def __init__(self, path: Path) -> None:
        self.owner = f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}"
        try:
            self.path = path.resolve()  # all links to a file lead to the same locks
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_of(self.owner).touch()  # fails at once where the lock would try for ever
            self.lock = FileLock(self._lock_of(self.owner))
            self.lock.acquire()
            try:
                self._refuse_other_hosts()  # of two that come at once, each sees the other's lock
                with self.told():
                    self.file = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
                    self._prepare()
            except BaseException:
                self.close()
                raise
        except (OSError, RuntimeError) as error:  # the latter of links in a circle
            raise StoreError(
                f"{path.parent} cannot be written ({error}): name another file by --store or "
                "DROPOUT_RUNS"
            ) from error

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what is claimed, and the file."""
        if file := getattr(self, "file", None):
            with suppress(sqlite3.Error):
                file.execute("DELETE FROM claims WHERE owner = ?", (self.owner,))
            file.close()
        self.lock.release()
        self._lock_of(self.owner).unlink(missing_ok=True)

    def finished(self, study: Study, device: str) -> dict[str, Finished]:
        """The runs of a study that are done on a device, by key, in the order of their ends.

        Runs of another version of the study are not among them.
        """
        with self.told():
            rows = self.file.execute(
                "SELECT key, settings, result, seconds, surroundings FROM runs "
                "WHERE study = ? ORDER BY finished, key",
                (study.name,),
            ).fetchall()
        found = {}
        for key, settings, result, seconds, surroundings in rows:
            run = Finished(
                json.loads(settings), json.loads(result), seconds, json.loads(surroundings)
            )
            if study.key(run.settings, device) == key:
                found[key] = run
        return found

    def claim(self, keys: Sequence[str]) -> str | None:
        """The first run of these that nobody has done or is doing, claimed; None where none is."""
        with self.told(), self._transaction():
            taken = dict(self.file.execute("SELECT key, owner FROM claims").fetchall())
            dead = {owner for owner in set(taken.values()) if not self._alive(owner)}
            for owner in dead:
                self.file.execute("DELETE FROM claims WHERE owner = ?", (owner,))
            done = {key for (key,) in self.file.execute("SELECT key FROM runs")}
            busy = {key for key, owner in taken.items() if owner not in dead}
            free = next((key for key in keys if key not in done | busy), None)
            if free:
                self.file.execute("INSERT INTO claims VALUES (?, ?)", (free, self.owner))
            return free

    def add(self, key: str, study: Study, run: Finished) -> None:
        """Store a finished run, and give up the claim."""
        settings, result, surroundings = map(
            json.dumps, (run.settings, run.result, run.surroundings)
        )
        now = datetime.now(UTC).isoformat()
        row = key, study.name, settings, result, run.seconds, surroundings, now
        with self.told(), self._transaction():
            self.file.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self.file.execute("DELETE FROM claims WHERE key = ?", (key,))

    def release(self, key: str) -> None:
        """Give up a claim without a result."""
        with self.told():
            self.file.execute("DELETE FROM claims WHERE key = ?", (key,))

    @contextmanager
    def told(self) -> Iterator[None]:
        """SQLite's errors as StoreError, with what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            ways = "the runs stored so far are kept"
            if "full" in str(error):
                ways += ": make room on the disk and run the same command again"
            elif "readonly" in str(error) or "unable to open" in str(error):
                ways += ": name a file that can be written, by --store or DROPOUT_RUNS"
            raise StoreError(f"{self.path}: {error}; {ways}") from error
        except sqlite3.ProgrammingError:  # one of ours
            raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is no store of runs, or is damaged ({error}): move it away, or name "
                "another file by --store or DROPOUT_RUNS"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self.file.execute("ROLLBACK")
            raise
        self.file.execute("COMMIT")

    def _prepare(self) -> None:
        """Make the tables, or see that they are of this format, before anything is written."""
        self._is_new()
        self.file.execute("PRAGMA journal_mode = WAL")
        self.file.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            if self._is_new():
                for statement in filter(str.strip, TABLES.split(";")):
                    self.file.execute(statement)
                self.file.execute(f"PRAGMA user_version = {FORMAT}")

    def _is_new(self) -> bool:
        """Whether there are no tables yet; StoreError where they are of another format."""
        (found,) = self.file.execute("PRAGMA user_version").fetchone()
        if not found and not self.file.execute("SELECT 1 FROM sqlite_master").fetchone():
            return True
        if found != FORMAT:
            raise StoreError(
                f"{self.path} has format {found}, and this version reads format {FORMAT}: name "
                "another file by --store or DROPOUT_RUNS, or use the version that wrote it"
            )
        return False

    def _lock_of(self, owner: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{owner}.lock")

    def _alive(self, owner: str) -> bool:
        """Whether a process still holds its lock; where it does not, the lock's file is removed."""
        if owner == self.owner:
            return True
        path = self._lock_of(owner)
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        path.unlink(missing_ok=True)
        return False

    def _refuse_other_hosts(self) -> None:
        """Refuse a store that a process on another host has open; sweep up after killed ones."""
        here, start = socket.gethostname(), f"{self.path.name}."
        for path in self.path.parent.glob(f"{escape(start)}*.lock"):
            owner = OWNER.fullmatch(path.name.removeprefix(start).removesuffix(".lock"))
            if owner and owner["host"] == here:
                self._alive(owner[0])
            elif owner and not self._goes_on(owner["host"]):
                raise StoreError(
                    f"{self.path} is in use on {owner['host']} by process {owner['pid']}, and "
                    "SQLite's log is safe on one host only. Let several machines work by "
                    "--scheduler, or name another file by --store. If that process has ended, "
                    f"delete {path}"
                )

    def _goes_on(self, host: str) -> bool:
        """Whether a store is named as this one and then as a "host" begins: the lock is its own."""
        parts = host.split(".")
        longer = (".".join([self.path.name, *parts[:k]]) for k in range(1, len(parts)))
        return any(self.path.with_name(name).exists() for name in longer)
