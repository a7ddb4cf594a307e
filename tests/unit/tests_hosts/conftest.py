"""Lets these tests import the tooling of the hosts, which no collection holds."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "hosts"))
