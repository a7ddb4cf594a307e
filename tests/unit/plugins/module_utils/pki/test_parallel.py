# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.errors import MtlsError
from ansible_collections.edge.mtls.plugins.module_utils.pki import parallel
from ansible_collections.edge.mtls.plugins.module_utils.pki.parallel import map_on_all_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 4)


def children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(map(int, file.read().split()))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 50])
def test_each_item_gets_its_result_from_a_child(count):
    found = dict(map_on_all_cores(lambda item: (item * item, os.getpid()), range(count)))
    assert {position: result[0] for position, result in found.items()} == {
        number: number * number for number in range(count)
    }
    workers = {result[1] for result in found.values()}
    assert len(workers) == min(count, 4)
    assert os.getpid() not in workers


def test_large_results_come_whole():
    found = dict(map_on_all_cores(lambda item: bytes([item]) * 3_000_000, range(6)))
    assert all(found[number] == bytes([number]) * 3_000_000 for number in range(6))


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(MtlsError("entry 3 is wrong"), "^entry 3 is wrong$", id="ours"),
        pytest.param(ZeroDivisionError("by zero"), "ZeroDivisionError.*by zero", id="another"),
    ],
)
def test_an_error_of_a_child_is_raised_here_and_no_child_is_left(error, text):
    before = children()
    with pytest.raises(MtlsError, match=text):
        list(map_on_all_cores(lambda item: fail(error) if item == 3 else item, range(20)))
    assert children() <= before


def test_a_child_that_is_killed_is_an_error():
    with pytest.raises(MtlsError, match="was ended by somebody"):
        list(map_on_all_cores(lambda item: os.kill(os.getpid(), signal.SIGKILL), range(8)))


def test_no_child_outlives_a_caller_that_stops_listening():
    before = children()
    results = map_on_all_cores(lambda item: time.sleep(0.05) or item, range(1000))
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 2
    assert children() <= before
