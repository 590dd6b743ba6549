"""Quantiles of Student's t."""

from __future__ import annotations

import pytest
from scipy.stats import t

from runinference.metrics.students_t import t_quantile


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 4.0, 12.5, 100.0, 2000.0])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.975, 0.9975, 1 - 1e-6])
def test_quantiles_are_those_of_scipy(probability, freedom):
    assert t_quantile(probability, freedom) == pytest.approx(t.ppf(probability, freedom), rel=1e-8, abs=1e-12)
