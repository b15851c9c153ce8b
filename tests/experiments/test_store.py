"""The file of finished runs: what it keeps, and what it says when it cannot."""

import sqlite3
from pathlib import Path

import pytest

from dropout.experiments.store import FORMAT, Store, StoreError, default_path
from dropout.experiments.study import Finished
from tests.experiments import tiny

STUDY = tiny.STUDY
PLANNED = STUDY.plan([])
KEYS = [STUDY.key(settings, "cpu") for settings in PLANNED]


def finished(settings, **result) -> Finished:
    return Finished(settings, result, 1.5, {"threads": 1})


def test_a_run_comes_back_to_the_bit(tmp_path):
    run = finished(PLANNED[0], test={"loss": 0.1 + 0.2, "error": float("inf")})
    with Store(tmp_path / "runs.sqlite") as store:
        store.add(KEYS[0], STUDY, run)
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.finished(STUDY, "cpu") == {KEYS[0]: run}
        assert store.finished(STUDY, "cuda") == {}


def test_a_run_of_another_version_of_the_study_does_not_count(tmp_path):
    with Store(tmp_path / "runs.sqlite") as store:
        store.add(KEYS[0], STUDY, finished(PLANNED[0]))
        assert store.finished(tiny.study("one", "two", version=2), "cpu") == {}


def test_what_is_claimed_or_done_is_not_claimed_again(tmp_path):
    with Store(tmp_path / "runs.sqlite") as one, Store(tmp_path / "runs.sqlite") as other:
        assert one.claim(KEYS[:2]) == KEYS[0]
        assert other.claim(KEYS[:2]) == KEYS[1]
        assert one.claim(KEYS[:2]) is None
        one.add(KEYS[0], STUDY, finished(PLANNED[0]))
        assert other.claim(KEYS[:2]) is None
        other.release(KEYS[1])
        assert one.claim(KEYS[:2]) == KEYS[1]


def test_claims_end_with_the_store(tmp_path):
    with Store(tmp_path / "runs.sqlite") as store:
        with Store(tmp_path / "runs.sqlite") as other:
            other.claim(KEYS)
        assert store.claim(KEYS) == KEYS[0]
    assert [path.name for path in tmp_path.iterdir()] == ["runs.sqlite"]


def test_the_same_run_twice_is_kept_once(tmp_path):
    with Store(tmp_path / "runs.sqlite") as store:
        store.add(KEYS[0], STUDY, finished(PLANNED[0], first=True))
        store.add(KEYS[0], STUDY, finished(PLANNED[0], first=False))
        (run,) = store.finished(STUDY, "cpu").values()
    assert run.result == {"first": True}


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    with Store(tmp_path / "runs.sqlite") as store:
        store.add(KEYS[0], STUDY, finished(PLANNED[0]))
        (pages,) = store.file.execute("PRAGMA page_count").fetchone()
        store.file.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full; the runs stored so far are kept: make room"):
            store.add(KEYS[1], STUDY, finished(PLANNED[1], long="x" * 100_000))
        store.file.execute(f"PRAGMA max_page_count = {pages + 100}")
        store.add(KEYS[1], STUDY, finished(PLANNED[1], long="x" * 100_000))
        assert list(store.finished(STUDY, "cpu")) == KEYS[:2]


def test_a_store_of_another_format_is_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite"
    with Store(path) as store:
        store.file.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}, and this version reads"):
        Store(path)
    assert [each.name for each in tmp_path.iterdir()] == ["runs.sqlite"]


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_store_is_left_alone(tmp_path, content):
    path = tmp_path / "runs.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is no store of runs, or is damaged"):
        Store(path)
    assert path.read_bytes() == content


def test_another_program_s_database_is_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE theirs (x)")
    content = path.read_bytes()
    with pytest.raises(StoreError, match="has format 0"):
        Store(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("path", ["/proc/runs.sqlite", "{}/file/runs.sqlite", "{}/folder"])
def test_where_nothing_can_be_written_another_place_is_asked_for(tmp_path, path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="--store or DROPOUT_RUNS"):
        Store(Path(path.format(tmp_path)))


def test_a_link_to_a_store_is_the_store(tmp_path):
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "runs.sqlite")
    with Store(tmp_path / "runs.sqlite") as one, Store(tmp_path / "link.sqlite") as other:
        assert one.claim(["k"]) == "k"
        assert other.claim(["k"]) is None


@pytest.mark.parametrize("name", ["runs.sqlite.bak", "runs.sqlite.of.march"])
def test_the_locks_of_a_store_whose_name_goes_on_are_its_own(tmp_path, name):
    (tmp_path / "runs.sqlite.anything.lock").touch()
    with Store(tmp_path / name) as other:
        assert other.claim(KEYS) == KEYS[0]
        Store(tmp_path / "runs.sqlite").close()
        with Store(tmp_path / name) as third:
            assert third.claim(KEYS[:1]) is None


def test_of_two_hosts_that_open_a_store_at_once_each_sees_the_other(tmp_path, monkeypatch):
    """The other comes when this one has looked for others, or just before."""
    path, look = tmp_path / "runs.sqlite", Store._refuse_other_hosts

    def other_comes(store):
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_refuse_other_hosts", look)
            patch.setattr("socket.gethostname", lambda: "elsewhere")
            with pytest.raises(StoreError, match="is in use on "):
                Store(path)
        look(store)

    monkeypatch.setattr(Store, "_refuse_other_hosts", other_comes)
    Store(path).close()
    assert [each.name for each in tmp_path.iterdir()] == ["runs.sqlite"]


@pytest.mark.parametrize("name", ["runs.sqlite", "runs[1].sqlite"])
def test_a_store_in_use_on_another_host_is_refused(tmp_path, name):
    path = tmp_path / name
    lock = tmp_path / f"{name}.elsewhere.example.17.abcdef01.lock"
    lock.touch()
    with pytest.raises(StoreError, match=r"in use on elsewhere\.example by process 17") as error:
        Store(path)
    assert f"delete {lock}" in str(error.value)
    lock.unlink()
    Store(path).close()


def test_a_tilde_that_no_shell_has_expanded_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DROPOUT_RUNS", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "~/state")
    assert default_path() == tmp_path / "state" / "dropout-book" / "runs.sqlite"
