"""Options of handlers: checked where they are given, with words that help."""

import numpy as np
import pytest

from runinference import BatchPolicy, ConfigurationError, ModelHandler
from runinference.handler import num_bytes
from runinference.testing.fakes import CountingHandler

pytestmark = pytest.mark.core


def one(example):
    return 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch_sise": 4}, r"CountingHandler has no option 'max_batch_sise'\. Did you mean 'max_batch_size'\?"),
        ({"xyz": 4}, "has no option 'xyz'. Options: min_batch_size, max_batch_size"),
        ({"max_batch_size": 0}, "max_batch_size must be a whole number of at least 1, got 0"),
        ({"max_batch_size": 1.5}, "max_batch_size must be a whole number"),
        ({"max_batch_size": True}, "max_batch_size must be a whole number"),
        ({"min_batch_size": "8"}, "min_batch_size must be a whole number"),
        ({"model_copies": -1}, "model_copies must be a whole number"),
        ({"max_batch_duration_secs": -1}, "max_batch_duration_secs must be seconds of at least 0"),
        ({"max_batch_duration_secs": float("inf")}, "max_batch_duration_secs must be seconds"),
        ({"max_batch_duration_secs": float("nan")}, "max_batch_duration_secs must be seconds"),
        ({"element_size_fn": 3}, "element_size_fn must be a function of one example, got 3"),
        ({"large_model": "yes"}, "large_model must be True or False, got 'yes'"),
        ({"env_vars": {"A": 1}}, "env_vars must map names to texts"),
        ({"env_vars": ["A"]}, "env_vars must map names to texts"),
        ({"min_batch_size": 9, "max_batch_size": 8}, r"min_batch_size \(9\) exceeds max_batch_size \(8\)"),
        ({"max_batch_weight": 5}, "max_batch_weight needs element_size_fn"),
        ({"element_size_fn": one}, "element_size_fn has no effect without max_batch_weight or, .* max_batch_size"),
        ({"batch_bucket_boundaries": [1]}, "batch_bucket_boundaries has no effect without batch_length_fn"),
        (
            {"element_size_fn": one, "batch_length_fn": one, "max_batch_weight": 5},
            "element_size_fn and batch_length_fn exclude each other",
        ),
        *(
            ({"batch_length_fn": one, "batch_bucket_boundaries": wrong}, "must be ascending positive lengths")
            for wrong in ([], [3, 2], [2, 2], [0, 1], [-1], 5, ["a"])
        ),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CountingHandler(**options)


def test_none_means_unset():
    names = ["min_batch_size", "max_batch_size", "max_batch_weight", "element_size_fn", "env_vars", "model_copies"]
    assert CountingHandler(**dict.fromkeys(names)).batch_elements_kwargs() == {}


def test_numbers_of_numpy_are_numbers():
    handler = CountingHandler(max_batch_size=np.int64(4), max_batch_duration_secs=np.float32(0.5))
    assert handler.batch_elements_kwargs() == {"max_batch_size": 4, "max_batch_duration_secs": 0.5}


def test_batching_options_have_the_names_of_beam():
    handler = CountingHandler(
        min_batch_size=2, batch_length_fn=len, batch_bucket_boundaries=[5, 9], large_model=True, model_copies=2
    )
    kwargs = handler.batch_elements_kwargs()
    assert kwargs == {"min_batch_size": 2, "length_fn": len, "bucket_boundaries": [5, 9]}
    policy = BatchPolicy.from_batch_elements(kwargs, "it")
    assert (policy.min_size, policy.length_fn, policy.bucket_boundaries) == (2, len, (5, 9))


def test_what_steers_the_sizes_of_beam_is_ignored():
    kwargs = {"max_batch_size": 3, "target_batch_overhead": 0.05, "variance": 0.25, "clock": None}
    assert BatchPolicy.from_batch_elements(kwargs, "it") == BatchPolicy(max_size=3)


def test_with_a_weight_for_each_example_sizes_are_weights_as_in_beam():
    kwargs = {"min_batch_size": 5, "max_batch_size": 100, "element_size_fn": len}
    assert BatchPolicy.from_batch_elements(kwargs, "it") == BatchPolicy(max_weight=100, element_size_fn=len)
    both = kwargs | {"max_batch_weight": 70}
    assert BatchPolicy.from_batch_elements(both, "it") == BatchPolicy(5, 100, 70, element_size_fn=len)


def test_a_size_is_fixed_where_both_ends_meet():
    assert BatchPolicy(min_size=3, max_size=3).fixed_size == 3
    assert BatchPolicy(max_size=3).fixed_size is None
    assert BatchPolicy().fixed_size is None


def test_a_copy_with_other_options_leaves_the_first_as_it_was():
    first = CountingHandler(max_batch_size=4)
    second = first.with_options(max_batch_size=None, min_batch_size=2)
    assert first.batch_elements_kwargs() == {"max_batch_size": 4}
    assert second.batch_elements_kwargs() == {"min_batch_size": 2}
    with pytest.raises(ConfigurationError, match="min_batch_size must be a whole number"):
        first.with_options(min_batch_size=0)


def test_sharing_follows_from_the_options():
    assert not CountingHandler().share_model_across_processes()
    assert CountingHandler(large_model=True).share_model_across_processes()
    copies = CountingHandler(model_copies=3)
    assert (copies.share_model_across_processes(), copies.model_copies()) == (True, 3)


def test_a_handler_needs_its_two_methods():
    class Half(ModelHandler):
        def load_model(self):
            return None

    with pytest.raises(TypeError, match="run_inference"):
        Half()


def test_a_path_that_cannot_be_changed_is_refused():
    with pytest.raises(ConfigurationError, match="CountingHandler cannot change its model while running"):
        CountingHandler().update_model_path("other")
    CountingHandler().update_model_path(None)


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (np.zeros((3, 2), np.float32), 24),
        ("abc", 3),
        ("grün", 5),
        (b"abc", 3),
        (7, 8),
        (1.5, 8),
        (None, 0),
        ({"a": np.zeros(2), "b": "xy"}, 18),
        ([1, "ab", (2.0, None)], 18),
        ("\ud800", 3),
    ],
)
def test_bytes_are_those_that_an_example_holds(example, expected):
    assert num_bytes(example) == expected
