"""A run's folder is the old one or the new one, wherever the process that writes it dies."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.commands import run_folder as module

# "b" is of every other run only, as the picture of the decision boundary is.
OUTPUTS = ("a", "b", "c")
OLD = {"a": "old", "b": "old", "c": "old"}
NEW = {"a": "new", "c": "new"}


def write(target, files=NEW):
    with module.run_folder(target, OUTPUTS) as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def outputs(folder):
    """The texts of a run's files in a folder."""
    return {name: (folder / name).read_text() for name in OUTPUTS if (folder / name).exists()}


def hidden(parent):
    return [path.name for path in parent.iterdir() if path.name.startswith(".")]


@pytest.fixture
def target(tmp_path):
    """A folder with an old run, and what the user has put there."""
    target = tmp_path / "runs" / "iris"
    (target / "mine" / "deeper").mkdir(parents=True)
    for name, text in OLD.items():
        (target / name).write_text(text)
    (target / "notes.txt").write_text("the user's own")
    (target / "mine" / "deeper" / "more.txt").write_text("the user's too")
    (target / "link").symlink_to("notes.txt")
    return target


def assert_users_files(target):
    assert (target / "notes.txt").read_text() == "the user's own"
    assert (target / "mine" / "deeper" / "more.txt").read_text() == "the user's too"
    assert (target / "link").is_symlink()
    assert (target / "link").read_text() == "the user's own"
    assert set(os.listdir(target)) <= {*OUTPUTS, "notes.txt", "mine", "link"}


def dies_at(line, target):
    """Whether a process that writes a run dies when it comes to that many lines of the module."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame, event, argument):
            nonlocal left
            if frame.f_code.co_filename != module.__file__:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            write(target)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def every_death(fresh):
    """For each line that a process can die at: the folder that it leaves."""
    for line in range(1000):
        target = fresh(line)
        died = dies_at(line, target)
        yield target
        if not died:
            assert line > 40
            return
    raise AssertionError("a run has no end")


@pytest.fixture
def fresh(target, tmp_path):
    """Copies of the old folder."""

    def fresh(line):
        place = tmp_path / str(line) / "iris"
        shutil.copytree(target.parent, place.parent, symlinks=True)
        return place

    return fresh


def test_a_process_that_dies_at_any_line_leaves_the_old_folder_or_the_new_one(fresh):
    seen = []
    for target in every_death(fresh):
        found = outputs(target)
        assert found in (OLD, NEW)
        assert (target / "notes.txt").read_text() == "the user's own"
        seen.append(found)
        with pytest.raises(RuntimeError), module.run_folder(target, OUTPUTS):
            raise RuntimeError("the next run, which fails")
        assert outputs(target) == found
        assert_users_files(target)
        assert hidden(target.parent) == []
    change = seen.index(NEW)
    assert seen == [OLD] * change + [NEW] * (len(seen) - change)
    assert change > 20


def test_a_first_run_that_dies_at_any_line_leaves_no_folder_or_a_whole_one(tmp_path):
    for target in every_death(lambda line: tmp_path / str(line) / "iris"):
        assert not target.exists() or outputs(target) == NEW
        write(target, OLD)
        assert outputs(target) == OLD
        assert os.listdir(target.parent) == ["iris"]


def test_where_folders_cannot_be_exchanged_the_next_run_finishes_a_dead_one(fresh, monkeypatch):
    def exchange(one, other):
        raise OSError(errno.EINVAL, "not on this file system")

    monkeypatch.setattr(module, "exchange", exchange)
    seen = []
    for target in every_death(fresh):
        with pytest.raises(RuntimeError), module.run_folder(target, OUTPUTS):
            raise RuntimeError("the next run, which fails")
        seen.append(outputs(target))
        assert_users_files(target)
        assert hidden(target.parent) == []
    change = seen.index(NEW)
    assert seen == [OLD] * change + [NEW] * (len(seen) - change)
    assert 20 < change < len(seen) - 5


def test_a_rename_that_fails_leaves_a_whole_run_or_one_that_the_next_completes(target, monkeypatch):
    def exchange(one, other):
        raise OSError(errno.EINVAL, "not on this file system")

    monkeypatch.setattr(module, "exchange", exchange)
    replace, calls = Path.replace, []

    def fails_once(self, there):
        calls.append(there)
        if len(calls) == 2:
            raise OSError(errno.EIO, "of a rename")
        return replace(self, there)

    monkeypatch.setattr(Path, "replace", fails_once)
    with pytest.raises(OSError, match="of a rename"):
        write(target)
    with pytest.raises(RuntimeError), module.run_folder(target, OUTPUTS):
        raise RuntimeError("the next run, which fails")
    assert outputs(target) == NEW
    assert_users_files(target)
    assert hidden(target.parent) == []


def test_what_the_user_saves_while_the_folders_change_places_is_kept(target, monkeypatch):
    exchange = module.exchange

    def late(one, other):
        (target / "draft.txt").write_text("new")
        (target / "saved.txt").write_text("again")
        os.replace(target / "saved.txt", target / "notes.txt")
        exchange(one, other)

    monkeypatch.setattr(module, "exchange", late)
    write(target)
    assert outputs(target) == NEW
    assert (target / "draft.txt").read_text() == "new"
    assert (target / "notes.txt").read_text() == "again"
    assert hidden(target.parent) == []


def test_permissions_of_the_folder_stay(target):
    target.chmod(0o2750)
    write(target)
    assert target.stat().st_mode & 0o7777 == 0o2750
    before = os.umask(0o027)
    write(target.with_name("other"))
    os.umask(before)
    assert target.with_name("other").stat().st_mode & 0o777 == 0o750


def test_a_full_disk_leaves_the_old_folder(target):
    def fill(folder):
        (folder / "a").write_text("new")
        (folder / "b").write_bytes(bytes(10_000))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(OSError) as caught, module.run_folder(target, OUTPUTS) as folder:  # noqa: PT011
            fill(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert outputs(target) == OLD
    assert_users_files(target)
    assert hidden(target.parent) == []


def test_a_run_that_fails_leaves_no_folder_of_its_own(tmp_path):
    with pytest.raises(RuntimeError), module.run_folder(tmp_path / "new" / "iris", OUTPUTS):
        raise RuntimeError("fails")
    assert os.listdir(tmp_path) == []


def test_a_link_to_another_file_system(tmp_path, target):
    elsewhere = Path("/dev/shm") / f"run-{os.getpid()}"
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    elsewhere.mkdir()
    try:
        (tmp_path / "runs" / "moons").symlink_to(elsewhere / "moons")
        for files in (OLD, NEW):
            write(tmp_path / "runs" / "moons", files)
            assert outputs(elsewhere / "moons") == files
            assert (tmp_path / "runs" / "moons").is_symlink()
        assert os.listdir(elsewhere) == ["moons"]
    finally:
        shutil.rmtree(elsewhere)


def test_a_place_that_cannot_be_replaced_is_told_of_first(tmp_path):
    with pytest.raises(ValueError, match="mounted"), module.run_folder(Path("/proc"), OUTPUTS):
        raise AssertionError
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="--output"), module.run_folder(tmp_path / "loop", OUTPUTS):
        raise AssertionError


def test_a_draft_at_work_is_left_alone_and_a_dead_one_cleared(target):
    dead = target.with_name(".iris.draft-0123abcd")
    dead.mkdir()
    (dead / "a").write_text("half")
    not_ours = [".iris.draft-notes", ".iris", "iris.draft-0123abcd"]
    for name in not_ours:
        target.with_name(name).mkdir()
    with module.run_folder(target, OUTPUTS) as first:
        assert not dead.exists()
        with module.run_folder(target, OUTPUTS) as second:
            assert first.exists()
            (second / "a").write_text("second")
        assert outputs(target) == {"a": "second"}
        (first / "c").write_text("first")
    assert outputs(target) == {"c": "first"}
    assert_users_files(target)
    assert sorted(os.listdir(target.parent)) == sorted(["iris", *not_ours])


def test_two_processes_at_once_leave_a_whole_folder_of_one_of_them(target):
    code = (
        "import sys; from pathlib import Path; from trainer.commands.run_folder import run_folder\n"
        "for i in range(60):\n"
        "    with run_folder(Path(sys.argv[1]), ('a', 'b', 'c')) as folder:\n"
        "        for name in ('a', 'c'): (folder / name).write_text(f'{sys.argv[2]} {i}')\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(target), name]) for name in ("one", "two")
    ]
    seen = set()
    while any(process.poll() is None for process in processes):
        folder = os.open(target, os.O_RDONLY)  # of one moment, whatever its name does
        try:
            texts = set()
            for name in ("a", "c"):
                with open(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
                    texts.add(file.read())
        except FileNotFoundError:
            continue  # replaced meanwhile
        finally:
            os.close(folder)
        assert len(texts) == 1
        seen |= texts
    assert [process.returncode for process in processes] == [0, 0]
    assert {text.split()[0] for text in seen} >= {"one", "two"}
    assert outputs(target)["a"] in {"one 59", "two 59"}
    assert outputs(target)["a"] == outputs(target)["c"]
    assert_users_files(target)
    assert hidden(target.parent) == []


def test_hidden_names_say_what_they_are(target):
    for state in ("draft", "swap", "move"):
        name = module._beside(target, state).name
        assert re.fullmatch(rf"\.iris\.{state}-[0-9a-f]{{8}}", name)
        assert module.DRAFT.fullmatch(name)["name"] == "iris"
