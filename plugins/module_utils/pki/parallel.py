# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Using all cores for what keeps one busy: RSA keys and the derivations of PKCS #12."""

from __future__ import annotations

import os
import pickle
import selectors
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from ..errors import MtlsError

# Before each result, its length in bytes.
LENGTH = struct.Struct("!Q")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_on_all_cores(
    function: Callable[[Any], Any], items: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """Yield the position and the result of each item, as they come.

    Each core gets a child of this process, because threads share Python's lock. A child has a copy
    of everything, so only results are sent, over a pipe that nobody else reads. It ends when that
    pipe does, so none outlives this process for longer than one item takes.

    :param function: its results can be pickled. It writes no file and uses no database.
    :raises MtlsError: as the function does, or a child ended without a word.
    """
    count = min(cores(), len(items))
    readers: dict[int, int] = {}
    try:
        for number in range(count):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                for other in (reader, *readers):
                    os.close(other)
                _work(function, items, range(number, len(items), count), writer)
            os.close(writer)
            readers[reader] = child
        yield from _results(readers, len(items))
    finally:
        for reader, child in readers.items():
            os.close(reader)
            os.waitpid(child, 0)


def _work(function: Callable[[Any], Any], items: Sequence[Any], share: range, writer: int) -> None:
    """Send the results of a share of the items, and end this process."""
    try:
        with os.fdopen(writer, "wb") as pipe:
            for position in share:
                said: tuple[int, Any, str | None]
                try:
                    said = (position, function(items[position]), None)
                except Exception as error:  # noqa: BLE001
                    text = str(error) if isinstance(error, MtlsError) else repr(error)
                    said = (position, None, text)
                content = pickle.dumps(said)
                pipe.write(LENGTH.pack(len(content)) + content)
                pipe.flush()
    finally:
        # Not exit(): what this process would tidy up belongs to the one that made it.
        os._exit(0)


def _results(readers: dict[int, int], count: int) -> Iterator[tuple[int, Any]]:
    pending: dict[int, bytes] = dict.fromkeys(readers, b"")
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while count:
            for event, _mask in selector.select():
                reader = event.fd
                block = os.read(reader, 1 << 20)
                if not block:
                    selector.unregister(reader)
                    if not selector.get_map():
                        raise MtlsError("a process that makes keys and packs was ended by somebody")
                    continue
                pending[reader] += block
                while len(pending[reader]) >= LENGTH.size:
                    [size] = LENGTH.unpack_from(pending[reader])
                    end = LENGTH.size + size
                    if len(pending[reader]) < end:
                        break
                    position, result, error = pickle.loads(pending[reader][LENGTH.size : end])
                    pending[reader] = pending[reader][end:]
                    if error is not None:
                        raise MtlsError(error)
                    count -= 1
                    yield position, result
