# Copyright (c) 2026, the edge.mtls authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress: silent while work is short, then every few seconds how far it is."""

from __future__ import annotations

import pytest
from ansible_collections.edge.mtls.plugins.module_utils.pki import progress


class Clock:
    """A clock that runs by hand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def work(clock, total, seconds_each, steps=None):
    said = []
    counted = progress.Progress(total, "issued", said.append)
    for _step in range(total if steps is None else steps):
        clock.now += seconds_each
        counted.advance()
    return said


def test_short_work_says_nothing(clock):
    assert work(clock, 10000, 0.0004) == []


def test_long_work_says_how_far_it_is_every_few_seconds(clock):
    said = work(clock, 150, 0.125)
    assert said == [
        "40/150 issued, 8.0/s, 14 s left",
        "80/150 issued, 8.0/s, 9 s left",
        "120/150 issued, 8.0/s, 4 s left",
    ]


def test_a_fast_rate_needs_no_decimals(clock):
    assert work(clock, 100_000, 0.125 / 256, steps=12_000)[0] == (
        "10,240/100,000 issued, 2,048/s, 44 s left"
    )


@pytest.mark.parametrize(
    ("total", "seconds_each", "expected"),
    [
        pytest.param(9, 8, "1/9 issued, 0.1/s, 64 s left", id="slow"),
        pytest.param(101, 8, "1/101 issued, 0.1/s, 13 min left", id="minutes"),
        pytest.param(1_000_001, 8, "1/1,000,001 issued, 0.1/s, 2222.2 h left", id="hours"),
    ],
)
def test_the_time_left_is_said_in_fitting_units(clock, total, seconds_each, expected):
    assert work(clock, total, seconds_each, steps=1) == [expected]
