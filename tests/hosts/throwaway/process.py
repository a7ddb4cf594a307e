"""Running other programs, and stopping in an orderly way when asked to.

A signal never raises in the middle of something: it sets a flag, and everything that
waits looks at the flag. So what was made is always known when it has to be removed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

POLL_SECONDS = 0.05
LOG_TAIL_LINES = 12

Item = TypeVar("Item")
Result = TypeVar("Result")

_stop = threading.Event()
_shielded = threading.Event()


class HostsError(Exception):
    """Something the user can act on, said in one sentence."""


class Interrupted(HostsError):
    """SIGINT, SIGTERM or SIGHUP arrived."""


def stop_on_signals() -> None:
    """Turn the signals that end a command into an orderly stop."""

    def stop(_signum: int, _frame: FrameType | None) -> None:
        _stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def say(line: str) -> None:
    """Report progress; results go to standard output, this does not."""
    print(line, file=sys.stderr, flush=True)


def pause(seconds: float = POLL_SECONDS) -> None:
    """Wait; every loop that waits for something does it here, so that it can be stopped.

    :raises Interrupted: a signal arrived.
    """
    if _shielded.is_set():
        threading.Event().wait(seconds)
    elif _stop.wait(seconds):
        raise Interrupted("Interrupted.")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nothing stop what is inside: the cleaning up."""
    before = _shielded.is_set()
    _shielded.set()
    try:
        yield
    finally:
        if not before:
            _shielded.clear()


def run(
    *command: str,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    log_path: Path | None = None,
) -> str:
    """Run a command in a session of its own (Ctrl-C reaches only us) and return its output.

    :param log_path: collect all output in this file instead.
    :raises HostsError: it failed; the message ends with its own last words.
    """
    pause(0)
    log = log_path.open("ab") if log_path else None
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )
    except OSError as error:
        raise HostsError(f"{command[0]} cannot be run: {error.strerror}.") from error
    finally:
        if log:
            log.close()
    words: str | None = stdin
    while True:
        try:
            output, errors = process.communicate(words, timeout=POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            words = None
            try:
                pause(0)
            except Interrupted:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise
    if process.returncode != 0:
        said = log_path.read_text(errors="replace") if log_path else (errors or output)
        tail = "\n".join(said.strip().splitlines()[-LOG_TAIL_LINES:])
        where = f"; all of it is in {log_path}" if log_path else ""
        raise HostsError(f"{command[0]} failed (exit status {process.returncode}){where}:\n{tail}")
    return output or ""


def attempt(*command: str) -> None:
    """Run a command that may have nothing to do, as when removing what may be gone."""
    try:
        run(*command)
    except Interrupted:
        raise
    except HostsError:
        pass


def in_parallel(job: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do a job for every item at once; let all of them end, then raise the first error."""
    with ThreadPoolExecutor(max_workers=64) as pool:
        futures = [pool.submit(job, item) for item in items]
    errors = [error for error in (future.exception() for future in futures) if error]
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        raise error
    return [future.result() for future in futures]


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a folder (made if missing) for ourselves, against threads and processes.

    The holder may remove the folder, so a waiter looks whether what it got is still there.
    """
    waiting = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                break
        except BlockingIOError:
            if not waiting:
                on_wait()
                waiting = True
        os.close(handle)
        pause()
    try:
        yield
    finally:
        os.close(handle)
