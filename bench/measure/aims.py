"""What the collection sets out to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from .rounds import Results

TIMES_FLOOR = 2.0
TIMES_FASTER = 500.0
FEW_SECONDS, MOST_SECONDS = 1.0, 10.0
MOST_MB = 300.0
# What still counts as linear: the cost of one certificate grows by no more than this.
TIMES_GROWTH = 1.25


@dataclass(frozen=True)
class Aim:
    """A figure beside its limit; without a limit it is only told."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool | None:
        """Tell whether the figure is within its limit, or None where there is none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def aims(results: Results) -> list[Aim]:
    """Return all aims with what was measured."""
    return [*_ratios(results), *_second_runs(results), *_memory(results), *_growth(results)]


def _ratios(results: Results) -> Iterator[Aim]:
    few = f"issuing {results.sizes.few:,}: "
    module = f"module_issue_{results.sizes.few}"
    ours = "playbook_issue_net"
    yield Aim(f"{few}time over the floor's", _times(results, ours, "floor"), "times", TIMES_FLOOR)
    value = _times(results, module, "floor")
    yield Aim(f"{few}time of the module alone over the floor's", value, "times")
    value = _times(results, ours, "floor_sync_once")
    yield Aim(f"{few}time over that of the floor that waits once for the disk", value, "times")
    value = _times(results, "community_crypto_issue_net", ours)
    what = "issuing: time of community.crypto over ours, per certificate"
    yield Aim(what, value, "times", TIMES_FASTER, at_least=True)
    what = "issuing: time of the `openssl` program over ours, per certificate"
    yield Aim(what, _times(results, "openssl", ours), "times")


def _times(results: Results, name: str, other: str) -> float:
    """Compare within each round, whose noise both have met; return the median."""
    mine, theirs = results.figures[name], results.figures[other]
    # The one with fewer rounds took part in the first ones.
    rounds = zip(mine.seconds, theirs.seconds, strict=False)
    return median((a / mine.count) / (b / theirs.count) for a, b in rounds)


def _second_runs(results: Results) -> Iterator[Aim]:
    few, most = results.sizes.few, results.sizes.growth[-1]
    for count, limit in ((few, FEW_SECONDS), (most, MOST_SECONDS)):
        figure = results.figures.get(f"module_again_{count}")
        if figure:
            what = f"nothing due over {count:,}: time of the module"
            yield Aim(what, figure.median, "s", limit)


def _memory(results: Results) -> Iterator[Aim]:
    most = results.sizes.growth[-1]
    names = {
        f"module_issue_{most}": f"issuing {most:,}",
        f"module_again_{most}": f"nothing due over {most:,}",
        f"info_{most}": f"`pki_info` listing all {most:,}",
    }
    for name, what in names.items():
        if name in results.figures:
            peak = max(results.figures[name].peaks_mb)
            yield Aim(f"{what}: most memory", peak, "MB", MOST_MB)


def _growth(results: Results) -> Iterator[Aim]:
    few = results.sizes.few
    measured = [n for n in results.sizes.growth if f"module_issue_{n}" in results.figures]
    for kind, what in (("issue", "issuing"), ("again", "nothing due")):
        for most in measured[-1:]:
            grown = results.figures[f"module_{kind}_{most}"].each
            value = grown / results.figures[f"module_{kind}_{few}"].each
            title = f"{what}: time per certificate at {most:,} over that at {few:,}"
            yield Aim(title, value, "times", TIMES_GROWTH)
