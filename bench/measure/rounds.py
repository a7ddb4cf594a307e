"""What is measured, in which order: the contestants take turns, so that all meet the same noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from .contestants import AUTHORITIES, Contestants, Sample
from .environment import say

# A size whose first issue would take longer than this is left out.
LONGEST_ISSUE_SECONDS = 600


@dataclass(frozen=True)
class Sizes:
    """How many certificates and how many rounds."""

    rounds: int
    few: int
    openssl: int
    community_crypto: int
    community_crypto_rounds: int
    growth: tuple[int, ...]
    rsa: int


FULL = Sizes(5, 1_000, 200, 20, 3, (10_000, 100_000), 50)
QUICK = Sizes(1, 50, 10, 2, 1, (200, 1_000), 4)


@dataclass
class Figure:
    """What was measured of one thing: a time per round, and the most memory of each."""

    count: int
    seconds: list[float] = field(default_factory=list)
    peaks_mb: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return median(self.seconds)

    @property
    def each(self) -> float:
        """Seconds for one certificate, by the median."""
        return self.median / self.count


class Results:
    """All figures by name, and what could not be measured."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.figures: dict[str, Figure] = {}
        self.gaps: list[str] = []

    def add(self, name: str, count: int, sample: Sample) -> float:
        """Keep a sample; return its seconds."""
        figure = self.figures.setdefault(name, Figure(count))
        figure.seconds.append(sample.seconds)
        if sample.peak_mb is not None:
            figure.peaks_mb.append(sample.peak_mb)
        say(f"  {name} ({count}): {sample.seconds:.3f} s")
        return sample.seconds


def measure(contestants: Contestants, sizes: Sizes) -> Results:
    """Measure everything."""
    results = Results(sizes)
    _warm_up(contestants)
    for number in range(sizes.rounds):
        say(f"Round {number + 1} of {sizes.rounds}")
        _few(contestants, results)
        if number < sizes.community_crypto_rounds:
            _community_crypto(contestants, results)
    for count in sizes.growth:
        say(f"{count} certificates")
        _many(contestants, results, count)
    _rsa(contestants, results)
    return results


def _warm_up(contestants: Contestants) -> None:
    # What Python compiles once is no part of any figure.
    contestants.new_store("warm")
    contestants.playbook("warm", 1)
    contestants.floor("warm-floor", 1)
    contestants.openssl("warm-openssl", 1)
    contestants.community_crypto("warm-community", 1)
    for name in ("warm", "warm-floor", "warm-openssl", "warm-community"):
        contestants.remove(name)


def _few(contestants: Contestants, results: Results) -> None:
    sizes = results.sizes
    count = sizes.few
    for name in ("by-playbook", "by-module"):
        contestants.new_store(name)
    results.add("floor", count, contestants.floor("floor", count))
    once = contestants.floor("floor-once", count, sync_once=True)
    results.add("floor_sync_once", count, once)
    empty = contestants.playbook("by-playbook", 0, changes=False)
    start = results.add("playbook_start", count, empty)
    issue = results.add("playbook_issue", count, contestants.playbook("by-playbook", count))
    again = contestants.playbook("by-playbook", count, changes=False)
    again_seconds = results.add("playbook_again", count, again)
    results.add("playbook_issue_net", count, Sample(issue - start))
    results.add("playbook_again_net", count, Sample(again_seconds - start))
    _module_twice(contestants, results, "by-module", count)
    results.add("openssl", sizes.openssl, contestants.openssl("openssl", sizes.openssl))
    for name in ("floor", "floor-once", "by-playbook", "by-module", "openssl"):
        contestants.remove(name)


def _module_twice(contestants: Contestants, results: Results, name: str, count: int) -> None:
    results.add(f"module_issue_{count}", count, contestants.module(name, count))
    again = contestants.module(name, count, changes=False)
    results.add(f"module_again_{count}", count, again)


def _community_crypto(contestants: Contestants, results: Results) -> None:
    count = results.sizes.community_crypto
    # The folder is made here already.
    empty = contestants.community_crypto("community", 0)
    start = results.add("community_crypto_start", count, empty)
    issue = contestants.community_crypto("community", count)
    again = contestants.community_crypto("community", count, changes=False)
    for name, sample in (("issue", issue), ("again", again)):
        seconds = results.add(f"community_crypto_{name}", count, sample)
        results.add(f"community_crypto_{name}_net", count, Sample(seconds - start))
    contestants.remove("community")


def _many(contestants: Contestants, results: Results, count: int) -> None:
    expected = _largest(results).each * count
    if expected > LONGEST_ISSUE_SECONDS:
        results.gaps.append(f"{count:,} certificates: issuing them would take {expected:.0f} s")
        return
    # Several rounds where one takes a minute at most.
    for _round in range(_rounds(results) if expected <= 60 else 1):
        contestants.new_store("many")
        _module_twice(contestants, results, "many", count)
        if count == results.sizes.growth[-1]:
            _reading(contestants, results, "many", count)
        contestants.remove("many")


def _largest(results: Results) -> Figure:
    issued = [figure for name, figure in results.figures.items() if name.startswith("module_issue")]
    return max(issued, key=lambda figure: figure.count)


def _rounds(results: Results) -> int:
    return min(results.sizes.rounds, 3)


def _reading(contestants: Contestants, results: Results, name: str, count: int) -> None:
    # The largest store is read several times, since it can't be made several times.
    for _round in range(_rounds(results)):
        again = contestants.module(name, count, changes=False)
        results.add(f"module_again_{count}", count, again)
        if contestants.has_info:
            listing = contestants.info(name, count + AUTHORITIES)
            results.add(f"info_{count}", count, listing)
            expiring = contestants.info(name, 0, expires_within_days=30)
            results.add(f"info_expiring_{count}", count, expiring)
    if not contestants.has_info:
        results.gaps.append("`edge.mtls.pki_info`: it is not in this checkout")


def _rsa(contestants: Contestants, results: Results) -> None:
    count = results.sizes.rsa
    for _round in range(_rounds(results)):
        for name, one_core in (("rsa_one_core", True), ("rsa_all_cores", False)):
            contestants.new_store("rsa")
            sample = contestants.module("rsa", count, key_type="RSA-2048", one_core=one_core)
            results.add(name, count, sample)
            contestants.remove("rsa")
