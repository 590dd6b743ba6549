"""`runinference report`: the performance website."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runinference.cli.exits import INTERRUPTED, exits_well

if TYPE_CHECKING:
    from runinference.report.website import Case

_QUIET_FOR_S = 1.0
_BETWEEN_S = 0.1


@click.command()
@click.argument(
    "stores", nargs=-1, required=True, metavar="STORE…", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--output",
    "-o",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for the site; an earlier site in it is replaced.",
)
@click.option("--cases", multiple=True, type=click.Path(), metavar="FOLDER", help="Files with benchmarks of your own.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@exits_well
def report(stores: tuple[Path, ...], folder: Path, cases: tuple[str, ...], quiet: bool) -> None:
    """Write the performance website: what benchmarks measured, and what got slower.

    STORE is a database that `runinference bench run` or --publish sqlite:FILE wrote, or the results of `bench run
    --output FILE.json`; several are taken together. The pages are plain files that load nothing from elsewhere: open
    them from the disk, or copy the folder to any web server.

    \b
    Example:
      runinference bench run all
      runinference report benchmarks.sqlite -o site
    """
    from runinference.metrics.history import read_runs
    from runinference.report.website import write_site

    runs = [run for store in stores for run in read_runs(store)]
    progress = SiteProgress(shown=not quiet and sys.stderr.isatty())
    try:
        page = write_site(folder, runs, _cases(cases), progress)
    except KeyboardInterrupt:
        progress.clear()
        click.echo(f"Interrupted; the site in {folder} is not complete.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    finally:
        progress.clear()
    if not quiet:
        click.echo(f"Website      {page}")
        if not any(run.complete and run.work is not None for run in runs):
            click.echo(f"Note: there is no complete run of a benchmark in {', '.join(map(str, stores))}", err=True)


def _cases(folders: tuple[str, ...]) -> list[Case]:
    """What the benchmarks say about themselves, the user's own included."""
    from runinference.benchmarks.catalog import find_benchmarks
    from runinference.report.website import Case

    return [
        Case(name, found.title, found.description(), found.missing, found.measures)
        for name, found in find_benchmarks(folders).items()
    ]


class SiteProgress:
    """One line on standard error, where writing takes longer than people like to wait without a sign.

    Args:
        shown: Whether to show it at all.
        clock: Tells the time in seconds; tests bring their own.
    """

    def __init__(self, *, shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown
        self._clock = clock
        self._next = clock() + _QUIET_FOR_S
        self._length = 0

    def __call__(self, done: int, total: int) -> None:
        """Shows how many files are written, if it is time to."""
        if self._shown and self._clock() >= self._next:
            self._next = self._clock() + _BETWEEN_S
            text = f"Writing the site: {done:,} of {total:,} files"
            self._length = len(text)
            click.echo(f"\r{text}", nl=False, err=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._length:
            click.echo(f"\r{' ' * self._length}\r", nl=False, err=True)
