from __future__ import annotations

from pathlib import Path

import pytest
from throwaway.cgroups import hierarchies
from throwaway.process import HostsError

ONE = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
SECOND = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
NAMED = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd"
MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
ROOT = "23 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard"


@pytest.mark.parametrize(
    ("lines", "unified", "named"),
    [
        pytest.param([ROOT, ONE], "/sys/fs/cgroup", [], id="version 2 alone"),
        pytest.param(
            [ROOT, MEMORY, NAMED, SECOND],
            "/sys/fs/cgroup/unified",
            ["/sys/fs/cgroup/systemd"],
            id="hybrid",
        ),
    ],
)
def test_hierarchies_are_found(lines, unified, named):
    assert hierarchies("\n".join(lines)) == (Path(unified), [Path(path) for path in named])


def test_machine_without_version_2_is_refused():
    with pytest.raises(HostsError, match="no cgroup 2"):
        hierarchies("\n".join([ROOT, MEMORY, NAMED]))
