"""Measurements take whatever a run gives, and hold what every destination can take."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from runinference.metrics.measurement import Measurement, RunInfo

pytestmark = pytest.mark.core


def strict(text):
    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_only_finite_numbers_stay_as_numbers_of_pythons_own():
    values = {
        "nan": math.nan,
        "infinite": math.inf,
        "huge": 10**400,
        "text": "no number",
        "none": None,
        "integer": 3,
        "large": 10**30,
        "numpy": np.float32(0.5),
        "counter": np.int64(7),
        "yes": True,
    }
    measurement = Measurement(RunInfo("x"), 0.0, values)
    assert measurement.values == {"integer": 3, "large": 1e30, "numpy": 0.5, "counter": 7.0, "yes": 1.0}
    assert {type(value) for value in measurement.values.values()} <= {int, float}
    assert Measurement.of(RunInfo("x"), {"a": 1, "b": math.nan, "why": "settled"}).texts == {"why": "settled"}


def test_options_become_values_that_json_knows():
    options = {
        "missing": math.nan,
        ("a", 1): {2},
        "list": (1, None, True),
        "array": np.arange(2),
        "nested": {1: -math.inf},
    }
    info = RunInfo("x", options=options)
    assert info.options == {
        "missing": "nan",
        "('a', 1)": "{2}",
        "list": [1, None, True],
        "array": "[0 1]",
        "nested": {"1": "-inf"},
    }
    assert strict(Measurement(info, 0.0, {}).to_json())["run"]["options"] == info.options


def test_names_of_files_that_are_no_text_can_be_encoded():
    measurement = Measurement(RunInfo("caf\udce9"), 0.0, {"a\udce9": 1.0}, {"b": "\udce9"})
    assert measurement.run.name == "caf\\udce9"
    measurement.to_json().encode()
    repr(measurement).encode()


def test_what_another_version_wrote_is_read():
    content = json.loads(Measurement(RunInfo("x"), 1.0, {"a": 2.0}).to_json())
    content["run"]["of_a_later_version"] = 1
    del content["run"]["processor"], content["run"]["memory_bytes"]
    read = Measurement.from_json(json.dumps(content))
    assert read.values == {"a": 2.0}
    assert read.run.processor == ""
    assert read.run.memory_bytes is None


def test_it_is_the_same_after_a_way_through_json():
    measurement = Measurement(RunInfo("x", options={"a": [1, {"b": None}]}), 1.5, {"a": 2.0}, {"b": "c"})
    assert asdict(Measurement.from_json(measurement.to_json())) == asdict(measurement)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"run": {}}', '{"run": {"name": "x"}}', '{"run": 3}'])
def test_what_is_no_measurement_is_refused(text):
    with pytest.raises(ValueError, match=r"no measurement|Expecting"):
        Measurement.from_json(text)
