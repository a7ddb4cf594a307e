from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from throwaway import process
from throwaway.process import HostsError, Interrupted


@pytest.fixture
def signals():
    """Handlers as the tool has them; afterwards those of pytest again, and no flag set."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    process.stop_on_signals()
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    process._stop.clear()


def test_output_is_returned():
    assert process.run("cat", stdin="one\ntwo\n") == "one\ntwo\n"


def test_failure_ends_with_the_commands_own_words():
    with pytest.raises(HostsError, match=r"sh failed \(exit status 3\):\nno such thing$"):
        process.run("sh", "-c", "echo no such thing >&2; exit 3")


def test_failure_of_a_logged_command_names_the_log(tmp_path):
    with pytest.raises(HostsError, match=rf"all of it is in {tmp_path}/log:\nlast words$"):
        process.run("sh", "-c", "echo last words; exit 1", log_path=tmp_path / "log")


def test_missing_program_is_named():
    with pytest.raises(HostsError, match="no-such-program cannot be run: No such file"):
        process.run("no-such-program")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_a_command_with_its_children(signals, tmp_path, number):
    mark = tmp_path / "pids"
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
    with pytest.raises(Interrupted):
        process.run("sh", "-c", f"sleep 60 & echo $$ $! >{mark}; wait")
    for pid in mark.read_text().split():
        assert is_gone(int(pid))


def is_gone(pid):
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                state = stat.read().rpartition(") ")[2][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_signal_ends_waiting_threads(signals):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted):
        process.in_parallel(process.pause, [30.0, 30.0])


def test_cleaning_up_goes_on_after_a_signal(signals):
    process._stop.set()
    with process.uninterrupted():
        assert process.run("echo", "done") == "done\n"
    with pytest.raises(Interrupted):
        process.run("echo", "done")


def test_jobs_all_end_before_an_error_is_raised():
    ended = []

    def job(number):
        if number == 0:
            raise HostsError("the first")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(HostsError, match="the first"):
        process.in_parallel(job, range(3))
    assert sorted(ended) == [1, 2]


def test_lock_is_held_by_one_at_a_time(tmp_path):
    inside = []

    def job(_number):
        with process.locked(tmp_path / "lock"):
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.01)
            inside.pop()

    process.in_parallel(job, range(5))


def test_lock_holds_after_its_folder_was_removed_under_a_waiter(tmp_path):
    folder, waited = tmp_path / "lock", threading.Event()

    def wait(_):
        with process.locked(folder, on_wait=waited.set):
            return folder.exists()

    def remove():
        with process.locked(folder):
            waited.wait(5)
            folder.rmdir()

    remover = threading.Thread(target=remove)
    remover.start()
    while not folder.exists():
        time.sleep(0.01)
    assert process.in_parallel(wait, [0]) == [True]
    remover.join()
