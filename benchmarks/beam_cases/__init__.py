"""One file for each comparison with Beam's `RunInference`; the order here is the order of the table."""

from __future__ import annotations

from beam_cases import bundles, text, tiny
from harness.command import Case

CASES: dict[str, Case] = {"text": text.run, "bundles": bundles.run, "tiny": tiny.run}
