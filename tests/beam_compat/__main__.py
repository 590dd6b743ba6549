"""Prints how many of Beam's own tests pass with the names of this package; exit code 1 if some do not and should."""

from __future__ import annotations

import sys

from tests.beam_compat.verdicts import Verdict, share_that_passes, verdicts

LEAST_SHARE = 0.9


def main() -> int:
    found = verdicts()
    for verdict in found:
        _print_reasons("different", verdict, verdict.different)
        _print_reasons("not applicable", verdict, verdict.not_applicable)
    print(f"{'':24} {'passed':>8} {'different':>10} {'not applicable':>15} {'failed':>8} {'of applicable':>14}")
    for verdict in found:
        counts = verdict.passed, verdict.different, verdict.not_applicable, verdict.failed
        _print_row(verdict.module, [len(each) for each in counts], verdict.applicable)
    share = share_that_passes(found)
    print(f"Of the tests that apply {share:.1%} pass; at least {LEAST_SHARE:.0%} must.")
    for verdict in found:
        for name, error in verdict.failed.items():
            print(f"\nFAILED {verdict.module}::{name}\n{error[-3000:]}")
        for line in verdict.untrue:
            print(f"\nLIST {verdict.module}: {line}")
    wrong = any(verdict.failed or verdict.untrue for verdict in found) or share < LEAST_SHARE
    return int(wrong)


def _print_reasons(kind: str, verdict: Verdict, reasons: dict[str, str]) -> None:
    if reasons:
        print(f"{verdict.module}, {kind}:")
        for name, reason in reasons.items():
            print(f"  {name.split('::')[-1]}: {reason}")
        print()


def _print_row(name: str, counts: list[int], applicable: int) -> None:
    passed, different, not_applicable, failed = counts
    share = f"{passed / applicable:.0%}" if applicable else "none apply"
    print(f"{name:24} {passed:8} {different:10} {not_applicable:15} {failed:8} {share:>14}")


if __name__ == "__main__":
    sys.exit(main())
