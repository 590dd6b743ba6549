"""The command line of a set of benchmarks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness import show
from harness.machine import commit, machine, versions
from harness.result import Result, Settings

Case = Callable[[Settings], list[Result]]


def main(description: str, cases: Mapping[str, Case], packages: Sequence[str], devices: Sequence[str] = ()) -> int:
    """Runs the cases that the command line names and prints what they found.

    Args:
        description: What is measured, for the help.
        cases: Each by its name.
        packages: Those whose versions matter.
        devices: What `--device` may name, the default first; without any there is no such option.

    Returns:
        The exit code: 1 when answers differ or a case cannot run, else 0, whether targets are met or not.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="little data, two repetitions: only shows that it works")
    parser.add_argument("--repeat", type=int, help="repetitions of each contestant (5)")
    parser.add_argument("--only", nargs="+", choices=list(cases), metavar="NAME", help=f"of: {', '.join(cases)}")
    parser.add_argument("--output", type=Path, help="write the JSON document to this file too")
    if devices:
        parser.add_argument("--device", choices=devices, default=devices[0], help=f"where models run ({devices[0]})")
    options = parser.parse_args()
    device = options.device if devices else Settings.device
    settings = Settings(options.repeat or (2 if options.quick else 5), options.quick, device)
    about = {
        "machine": machine(),
        "versions": versions(["runinference", *packages]),
        "commit": commit(),
        "settings": asdict(settings),
    }
    results: list[Result] = []
    broken = False
    for name in options.only or cases:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results += cases[name](settings)
        except Exception as error:
            broken = True
            results.append(Result(name, skipped=f"cannot run: {type(error).__name__}: {error}"))
    print(show.table(results))
    line = show.document(results, about)
    if options.output is not None:
        # Renamed when it is whole: whoever watches the file never reads half of it.
        unfinished = options.output.with_name(f"{options.output.name}.unfinished")
        unfinished.write_text(line + "\n", encoding="utf-8")
        os.replace(unfinished, options.output)
    print(line)
    return 1 if broken or not all(result.answers_equal for result in results) else 0
