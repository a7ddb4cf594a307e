"""The command line of bench/certificates."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from .contestants import Contestants
from .environment import BENCH, BenchError, Processors, machine_facts, prepare, workplace
from .report import as_json, markdown
from .rounds import FULL, QUICK, measure

README = BENCH / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


def main(arguments: list[str]) -> int:
    """Measure as the arguments ask for; return the exit code."""
    options = _parser().parse_args(arguments)
    # So that no key stays behind where something else ends this.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        with workplace() as folder:
            prepare()
            machine = machine_facts()
            processors = Processors()
            results = measure(Contestants(folder), QUICK if options.quick else FULL)
            machine["busy_elsewhere"] = f"{processors.share_of_others():.0%}"
    except BenchError as error:
        print(f"certificates: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    text = markdown(results, machine)
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(as_json(results, machine), indent=2) + "\n")
    if options.readme:
        _rewrite_readme(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="certificates",
        description="Measure what it costs to issue certificates, beside the other ways.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--quick", action="store_true", help="few certificates, one round")
    either.add_argument("--readme", action="store_true", help="rewrite the tables of README.md")
    return parser


def _rewrite_readme(text: str) -> None:
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
