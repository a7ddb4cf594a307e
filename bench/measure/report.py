"""Tells the figures: as Markdown for people, as JSON for machines."""

from __future__ import annotations

from typing import Any

from .aims import Aim, aims
from .rounds import FULL, Figure, Results

NOTHING = "–"  # noqa: RUF001
HEAD = ["", "measured on", "rounds", "median", "least", "per certificate", "most memory"]
OURS = "this collection"

ISSUE_ROWS = {
    "floor": "a bare loop around `cryptography`: the floor",
    "floor_sync_once": "the same, which waits for the disk once at the end",
    "playbook_issue_net": f"**{OURS}**, start-up subtracted",
    "playbook_issue": f"{OURS}, all of `ansible-playbook`",
    "playbook_start": f"{OURS}, start-up: the same with an empty list",
    "module_issue_{few}": f"{OURS}, the module's own code alone",
    "openssl": "the `openssl` program in a shell loop",
    "community_crypto_issue_net": "community.crypto, start-up subtracted",
    "community_crypto_issue": "community.crypto, all of `ansible-playbook`",
    "community_crypto_start": "community.crypto, start-up: the same with an empty list",
}
AGAIN_ROWS = {
    "playbook_again_net": f"**{OURS}**, start-up subtracted",
    "playbook_again": f"{OURS}, all of `ansible-playbook`",
    "module_again_{few}": f"{OURS}, the module's own code alone",
    "community_crypto_again_net": "community.crypto, start-up subtracted",
    "community_crypto_again": "community.crypto, all of `ansible-playbook`",
}
GROWTH_KINDS = {
    "module_issue": "issue",
    "module_again": "nothing due",
    "info": "`pki_info`, the whole list",
    "info_expiring": "`pki_info`, what expires within 30 days: none",
}
RSA_ROWS = {"rsa_one_core": "one core", "rsa_all_cores": "all cores"}


def markdown(results: Results, machine: dict[str, str]) -> str:
    """Write all figures as Markdown."""
    few, rsa = results.sizes.few, results.sizes.rsa
    quick = [] if results.sizes == FULL else ["A quick run: it shows that all works, not how fast."]
    parts = [
        _machine_line(machine),
        *quick,
        "### Aims",
        _aims(aims(results)),
        f"### Issuing {few:,} client certificates (ECDSA P-256)",
        _figures(results, ISSUE_ROWS),
        f"### Running again over {few:,}, nothing due",
        _figures(results, AGAIN_ROWS),
        "### Growth: the module's own code in a fresh Python",
        _figures(results, _growth_rows(results)),
        f"### Issuing {rsa} client certificates (RSA-2048), the module's own code",
        _figures(results, RSA_ROWS),
    ]
    if results.gaps:
        parts += ["### Not measured", "\n".join(f"- {gap}" for gap in results.gaps)]
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, machine: dict[str, str]) -> dict[str, Any]:
    """Return all figures as plain data."""
    return {
        "machine": machine,
        "figures": {name: _figure_data(figure) for name, figure in results.figures.items()},
        "aims": [{**vars(aim), "met": aim.is_met} for aim in aims(results)],
        "not_measured": results.gaps,
    }


def _figure_data(figure: Figure) -> dict[str, Any]:
    return {
        "certificates": figure.count,
        "seconds": figure.seconds,
        "median_seconds": figure.median,
        "least_seconds": min(figure.seconds),
        "seconds_per_certificate": figure.each,
        "peaks_mb": figure.peaks_mb,
    }


def _machine_line(machine: dict[str, str]) -> str:
    return (
        "{date}: {cores} cores, {file_system}, Python {python}, cryptography {cryptography}, "
        "ansible-core {ansible_core}, community.crypto {community_crypto}, OpenSSL {openssl}; "
        "meanwhile other things took {busy_elsewhere} of the processors' time."
    ).format(**machine)


def _aims(found: list[Aim]) -> str:
    marks = {None: NOTHING, True: "met", False: "**missed**"}
    rows = []
    for aim in found:
        limit = NOTHING
        if aim.limit is not None:
            limit = f"{'at least' if aim.at_least else 'at most'} {aim.limit:g} {aim.unit}"
        rows.append([aim.what, f"{_number(aim.value)} {aim.unit}", limit, marks[aim.is_met]])
    return _table(["", "measured", "aim", ""], rows)


def _figures(results: Results, titles: dict[str, str]) -> str:
    rows = []
    for name, title in titles.items():
        figure = results.figures.get(name.format(few=results.sizes.few))
        if figure is None:
            continue
        is_start = name.endswith("_start")
        rows.append(
            [
                title,
                NOTHING if is_start else f"{figure.count:,}",
                str(len(figure.seconds)),
                f"{_number(figure.median)} s",
                f"{_number(min(figure.seconds))} s",
                NOTHING if is_start else f"{_number(figure.each * 1000)} ms",
                _peak(figure),
            ]
        )
    return _table(HEAD, rows)


def _growth_rows(results: Results) -> dict[str, str]:
    counts = (results.sizes.few, *results.sizes.growth)
    return {f"{kind}_{count}": title for kind, title in GROWTH_KINDS.items() for count in counts}


def _peak(figure: Figure) -> str:
    return f"{max(figure.peaks_mb):.0f} MB" if figure.peaks_mb else NOTHING


def _number(value: float) -> str:
    """Write three digits that matter, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    line = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, line, *rows])
