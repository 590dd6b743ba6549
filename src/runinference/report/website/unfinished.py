"""Runs that did not finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runinference.metrics.history import Run
from runinference.report.markup import escaped
from runinference.report.website.link import Link
from runinference.report.website.words import minute, release


def unfinished_table(runs: Sequence[Run], links: Mapping[str, Link], most: int) -> str:
    """A table of runs that did not finish; none where all did.

    Args:
        runs: The runs, the newest first.
        links: The page of each benchmark; without a title on its own page.
        most: How many are shown.
    """
    words = {"running": "running, or killed", "failed": "failed"}
    rows = []
    for run in runs[:most]:
        link = links[run.info.name]
        name = f'<td><a href="{link.address}">{escaped(link.title)}</a></td>' if link.title else ""
        rows.append(
            f"<tr><td><time>{minute(run)}</time></td>{name}<td>{escaped(run.info.engine)}</td>"
            f"<td>{escaped(words.get(run.info.state, run.info.state))}</td><td>{escaped(release(run))}</td>"
            f"<td>{escaped(run.info.host)}</td></tr>"
        )
    if not rows:
        return ""
    head = [
        "Started (UTC)",
        *(["Benchmark"] if any(link.title for link in links.values()) else []),
        "Engine",
        "State",
        "Version",
        "Host",
    ]
    more = f'<p class="note">and {len(runs) - most:,} earlier ones</p>' if len(runs) > most else ""
    titled = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        f'<div class="scroll"><table class="unfinished"><thead><tr>{titled}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{more}"
    )
