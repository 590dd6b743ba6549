"""The command `runinference` and what its subcommands share."""

from __future__ import annotations

import click

from runinference import __version__
from runinference.cli.bench import bench
from runinference.cli.check import check
from runinference.cli.completion import completion
from runinference.cli.report import report
from runinference.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="runinference")
def app() -> None:
    """Run a trained model over a lot of data.

    \b
    Try it on one batch, then run it:
      runinference check sklearn:model.joblib data.parquet
      runinference run   sklearn:model.joblib data.parquet predictions.parquet

    \b
    Exit codes: 0 done, 1 the job failed, 2 wrong usage,
                3 done, but more rows failed than allowed.
    """


for command in (run, check, bench, report, completion):
    app.add_command(command)
