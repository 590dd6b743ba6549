"""The ONNX handler: what its rows may be, what its models give back, and its arguments."""

import pickle
import threading

import numpy as np
import onnx_models as models
import pytest

from runinference import (
    ConfigurationError,
    InferenceError,
    ModelFaultError,
    ModelLoadError,
    OnnxModelHandlerNumpy,
    OutputCountError,
    infer,
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.onnx")


def run(path, rows, *, failures=None, inference_args=None, **arguments):
    on_failure = None if failures is None else failures.append
    results = infer(
        rows, OnnxModelHandlerNumpy(path, **arguments), on_failure=on_failure, inference_args=inference_args
    )
    return [result.inference for result in results]


def floats(count, *shape):
    return list(np.random.default_rng(1).normal(size=(count, *(shape or (3,)))).astype(np.float32))


def assert_rows(found, expected):
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "given", "dtype"),
    [
        (models.FLOAT, np.float64, np.float32),
        (models.FLOAT, np.int64, np.float32),
        (models.FLOAT, np.bool_, np.float32),
        (models.DOUBLE, np.float32, np.float64),
        (models.FLOAT16, np.float64, np.float16),
        (models.INT64, np.int32, np.int64),
        (models.INT32, np.int64, np.int32),
        (models.INT32, np.uint8, np.int32),
        (models.INT64, np.bool_, np.int64),
        (models.BOOL, np.bool_, np.bool_),
    ],
)
def test_numbers_become_the_type_of_the_input(path, kind, given, dtype):
    rows = [np.array([0, 1, 1], given), np.array([1, 0, 1], given)]
    found = run(models.identity(path, kind), rows)
    assert {row.dtype for row in found} == {np.dtype(dtype)}
    assert np.array(found).tolist() == [[0, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        (models.FLOAT, "abc", "input 'x' takes float32, got <U3 such as .*'abc'"),
        (models.FLOAT, ["1", "2", "3"], "input 'x' takes float32, got <U1"),
        (models.FLOAT, [1.0, None, 2.0], "input 'x' takes float32, got NoneType None"),
        (models.FLOAT, None, "input 'x' takes float32, got NoneType None"),
        (models.FLOAT, np.zeros(3, complex), "input 'x' takes float32, got complex128"),
        (models.FLOAT, np.zeros(3, "M8[s]"), r"input 'x' takes float32, got datetime64\[s\]"),
        (models.FLOAT, [1.0, 1e300, np.inf], r"input 'x' takes float32, which cannot hold 1e\+300"),
        (models.FLOAT, [1.0, 2.0], r"takes rows of shape \(3,\), got \(2,\)"),
        (models.FLOAT, [[1.0, 2.0, 3.0]], r"takes rows of shape \(3,\), got \(1, 3\)"),
        (models.FLOAT, 1.0, r"takes rows of shape \(3,\), got \(\)"),
        (models.FLOAT, {"y": [1.0, 2.0, 3.0]}, "example has 'y', which is not among the inputs.*: x"),
        (models.FLOAT, {"x": [1.0, 2.0, 3.0], "z": 1}, "example has 'z', which is not among the inputs"),
        (models.INT32, [1, 2, 2**40], "takes int32, which cannot hold 1099511627776"),
        (models.INT64, np.array([1, 2, 2**64 - 1], np.uint64), "takes int64, which cannot hold 18446744073709551615"),
        (models.INT64, [1.0, 2.0, 3.0], "takes int64, which cannot hold float64; convert it"),
        (models.BOOL, [1, 0, 1], "takes bool, which cannot hold int64"),
        (models.TEXT, ["a", "b", 3], "takes texts, got int 3"),
        (models.TEXT, ["a", "b", None], "takes texts, got NoneType None"),
        (models.TEXT, ["a", "b", float("nan")], "takes texts, got float nan"),
        (models.TEXT, [b"a", b"b", b"c"], "takes texts, got bytes b'a'"),
    ],
)
def test_only_the_row_that_does_not_fit_is_set_aside(path, kind, bad, message):
    failures = []
    good = ["a", "bc", ""] if kind == models.TEXT else np.array([0, 1, 1], "?")
    found = run(models.identity(path, kind), [good, good, bad, good], failures=failures)
    assert len(found) == 3
    assert [list(row) for row in found] == [list(good)] * 3
    (failure,) = failures
    assert failure.index == 2
    with pytest.raises(ValueError, match=message):
        raise failure.error


def test_a_row_with_nan_is_a_row(path):
    rows = floats(4)
    rows[2][1] = np.nan
    found = run(models.linear(path), rows)
    assert [bool(np.isnan(row).any()) for row in found] == [False, False, True, False]


def test_rows_of_several_types_are_a_batch(path):
    rows = [np.arange(3), np.arange(3, dtype=np.float32), np.arange(3.0), [0, 1, 2], np.array([True, True, False])]
    found = run(models.identity(path), rows)
    assert_rows(found, [[0, 1, 2]] * 4 + [[1, 1, 0]])


def test_a_row_that_the_model_itself_refuses_is_set_aside(path):
    failures = []
    found = run(models.embedded(path), [[1, 2], [3, 99], [4, 5]], failures=failures)
    assert_rows(found, [[[2, 3], [4, 5]], [[8, 9], [10, 11]]])
    assert [failure.index for failure in failures] == [1]
    assert "idx=99 must be within the inclusive range [-10,9]" in failures[0].message


def test_rows_of_several_lengths_work_where_the_model_allows_them(path):
    found = run(models.embedded(path), [[1], [1, 2], [3, 4, 5], [6]])
    assert [row.shape for row in found] == [(1, 2), (2, 2), (3, 2), (1, 2)]


def test_numbers_are_rows_of_one_feature(path):
    assert_rows(run(models.identity(path, shape=("N", 1)), [1.0, 2.0, 3.0]), [[1], [2], [3]])


def test_numbers_are_rows_of_a_vector(path):
    assert run(models.identity(path, shape=("N",)), [1.0, 2.0, 3.0]) == [1, 2, 3]


def test_texts_are_rows_of_any_length(path):
    rows = ["short", "", "long " * 1000, "ünïcödé", np.str_("numpy")]
    assert run(models.identity(path, models.TEXT, ("N",)), rows) == rows
    assert [row.tolist() for row in run(models.identity(path, models.TEXT, ("N", 1)), rows)] == [[row] for row in rows]


def test_an_input_of_unknown_shape_takes_any_row(path):
    models.write(
        path,
        [models.node("Identity", ["x"], ["y"])],
        [models.value("x", models.FLOAT, None)],
        [models.value("y", models.FLOAT, None)],
    )
    assert run(path, [1.0, 2.0]) == [1, 2]
    assert_rows(run(path, floats(5, 2, 3)), floats(5, 2, 3))


def test_a_model_with_one_input_takes_dicts_too(path):
    rows = floats(5)
    assert_rows(run(models.linear(path), [{"x": row} for row in rows]), np.array(rows) @ models.WEIGHTS)


def test_a_table_row_of_numbers_is_a_row(path):
    handler = OnnxModelHandlerNumpy(models.linear(path), max_batch_weight=100, element_size_fn=len)
    (result,) = infer([{"age": 1, "income": 2.5, "debt": 3}], handler)
    assert_rows(result.inference, np.array([1, 2.5, 3], np.float32) @ models.WEIGHTS)


def test_a_single_number_of_a_wrong_name_is_no_table_row(path):
    with pytest.raises(InferenceError, match="example has 'X', which is not among the inputs"):
        run(models.identity(path, shape=("N", 1)), [{"X": 1.0}])


@pytest.mark.parametrize(
    "rows",
    [
        [np.zeros(3), np.zeros(4)],
        [np.zeros(3), 0.0],
        [np.zeros((3, 1)), np.zeros((1, 3))],
        [np.zeros(3), np.array([1, None])],
        [np.array([1, None]), np.zeros(3)],
    ],
)
def test_arrays_of_several_shapes_are_told(path, rows):
    handler = OnnxModelHandlerNumpy(models.linear(path))
    with pytest.raises(ValueError, match="arrays of a batch must have one shape, got "):
        handler.run_inference(rows, handler.load_model())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"a": [1, 2]}, "example has no 'b'; the inputs that it gives the model are a, b"),
        ({"a": [1, 2], "B": [1, 2], "b": [1, 2]}, "example has 'B', which is not among.*: a, b"),
        ({"a": [1, 2], "b": [1, 2, 3]}, r"input 'b' takes rows of shape \(2,\), got \(3,\)"),
        ({"a": ["x", "y"], "b": [1, 2]}, "input 'a' takes float32, got <U1"),
        ([1, 2], "several inputs, so each example must be a dict of a, b; got list"),
    ],
)
def test_only_the_dict_that_does_not_fit_is_set_aside(path, bad, message):
    failures = []
    good = {"a": np.array([1, 2]), "b": np.array([3, 4])}
    found = run(models.two_and_two(path), [good, bad, good], failures=failures)
    assert_rows([row["total"] for row in found], [[4, 6], [4, 6]])
    (failure,) = failures
    assert failure.index == 1
    with pytest.raises(ValueError, match=message):
        raise failure.error


def test_a_misspelt_input_is_told_with_the_closest(path):
    models.write(
        path,
        [models.node("Add", ["left", "right"], ["y"])],
        [models.value(name, models.FLOAT, ["N"]) for name in ("left", "right")],
        [models.value("y", models.FLOAT, ["N"])],
    )
    with pytest.raises(InferenceError, match=r"example has 'rigth'.*left, right. Did you mean 'right'"):
        run(path, [{"left": 1.0, "rigth": 2.0}])


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 30])
def test_a_model_of_a_fixed_number_of_rows_takes_any_number(path, count):
    rows = floats(count)
    found = run(models.linear(path, rows=8), rows, min_batch_size=30, max_batch_size=30)
    assert_rows(found, np.array(rows) @ models.WEIGHTS)


def test_a_model_of_one_row_takes_any_number(path):
    rows = floats(5, 3, 4)
    assert_rows(run(models.identity(path, shape=(1, 3, 4)), rows), rows)


def test_inputs_that_disagree_on_the_number_of_rows_are_told(path):
    models.write(
        path,
        [models.node("Add", ["a", "b"], ["y"])],
        [models.value("a", models.FLOAT, [4, 1]), models.value("b", models.FLOAT, [1, 1])],
        [models.value("y", models.FLOAT, [4, 1])],
    )
    with pytest.raises(ModelFaultError, match=r"do not agree on a number of rows: \{'a': 4, 'b': 1\}.*inference_args"):
        run(path, [{"a": 1.0, "b": 2.0}])
    assert_rows(run(path, [1.0, 2.0], inference_args={"b": [[3.0]]}), [[4], [5]])


@pytest.mark.parametrize("rows", ["N", 8])
def test_the_outputs_that_are_returned_can_be_chosen(path, rows):
    examples = floats(5, 2)
    models.classifier(path, rows)
    both = run(path, examples)
    assert [list(row) for row in both] == [["raw", "named"]] * 5
    assert_rows(run(path, examples, output_names=["raw"]), examples)
    named = run(path, examples, output_names="named")
    assert named == [{"no": float(row[0]), "yes": float(row[1])} for row in examples]
    assert [list(row) for row in run(path, examples, output_names=("named", "raw"))] == [["named", "raw"]] * 5


def reduced(path, rows="N"):
    return models.write(
        path,
        [models.node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=0), models.node("Neg", ["x"], ["negative"])],
        [models.value("x", models.FLOAT, [rows, 3])],
        [models.value("mean", models.FLOAT, [3]), models.value("negative", models.FLOAT, [rows, 3])],
    )


@pytest.mark.parametrize("rows", ["N", 8])
def test_an_output_that_is_not_per_row_is_named(path, rows):
    reduced(path, rows)
    message = r"output 'mean', an array of shape \(3,\), has not one entry for each of \d rows; .*output_names"
    with pytest.raises(OutputCountError, match=message):
        run(path, floats(7), failures=[])
    assert_rows(run(path, floats(7), output_names=["negative"]), -np.array(floats(7)))


def test_a_single_number_for_the_whole_batch_is_refused(path):
    models.write(
        path,
        [models.node("ReduceMean", ["x"], ["mean"], keepdims=0)],
        [models.value("x", models.FLOAT, ["N", 3])],
        [models.value("mean", models.FLOAT, [])],
    )
    with pytest.raises(OutputCountError, match=r"'mean', an array of shape \(\)"):
        run(path, floats(1))


def test_sequences_are_outputs(path):
    sequence = models.helper.make_sequence_type_proto(models.helper.make_tensor_type_proto(models.FLOAT, None))
    models.write(
        path,
        [models.node("SplitToSequence", ["x"], ["rows"], axis=0, keepdims=0)],
        [models.value("x", models.FLOAT, ["N", 3])],
        [models.helper.make_value_info("rows", sequence)],
    )
    assert_rows(run(path, floats(5)), floats(5))


@pytest.mark.parametrize("shift", [5, 5.0, [5], np.array([5], np.float32), np.float64(5)])
def test_arguments_are_inputs_for_all_rows(path, shift):
    arguments = {"shift": shift}
    found = run(models.shifted(path), floats(5), inference_args=arguments)
    assert_rows(found, np.array(floats(5)) + 5)
    assert list(arguments) == ["shift"]
    assert arguments["shift"] is shift


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shfit": 5}, "inference_args: the model has no input 'shfit'. Did you mean 'shift'"),
        ({"shift": "five"}, "inference_args: .*'shift' takes float32, got <U4 such as .*'five'"),
        ({"shift": [1, 2]}, r"inference_args: the input 'shift' takes an array of shape \(1,\), got \(2,\)"),
        ({"shift": [[1]]}, r"inference_args: the input 'shift' takes an array of shape \(1,\), got \(1, 1\)"),
        ({"shift": 1, "x": np.zeros((5, 3))}, "inference_args give every input of the model .*none is left"),
    ],
)
def test_arguments_that_do_not_fit_end_the_job(path, arguments, message):
    with pytest.raises(ModelFaultError, match=message):
        run(models.shifted(path), floats(5), inference_args=arguments, failures=[])


def test_an_input_cannot_be_given_by_a_row_and_by_arguments(path):
    with pytest.raises(InferenceError, match="example has 'shift', which is not among the inputs that an example"):
        run(models.shifted(path), [{"x": floats(1)[0], "shift": 1.0}], inference_args={"shift": 1})


def test_a_function_of_ones_own_is_called_as_beam_does(path):
    calls = []

    def count(session, batch, inference_args):
        calls.append((session.get_inputs()[0].name, type(batch), inference_args))
        return [{"rows": len(batch)}] * len(batch)

    assert run(models.linear(path), floats(3), inference_fn=count) == [{"rows": 3}] * 3
    assert calls == [("x", list, None)]


def test_a_function_of_ones_own_may_return_several_outputs(path):
    def both(session, batch, inference_args=None):
        return {"sum": np.sum(batch, axis=1), "row": np.array(batch)}

    found = run(models.linear(path), floats(3), inference_fn=both)
    assert [row["row"].tolist() for row in found] == [row.tolist() for row in floats(3)]


def test_memory_that_is_short_is_told_as_such(path):
    models.write(
        path,
        [models.node("Expand", ["x", "shape"], ["y"])],
        [models.value("x", models.FLOAT, ["N", 1]), models.value("shape", models.INT64, [2])],
        [models.value("y", models.FLOAT, ["N", "width"])],
    )
    handler = OnnxModelHandlerNumpy(path, {"log_severity_level": 4})
    with pytest.raises(MemoryError, match="Failed to allocate memory"):
        handler.run_inference([1.0], handler.load_model(), {"shape": [1, 10**13]})


def test_threads_may_share_a_session(path):
    handler = OnnxModelHandlerNumpy(models.linear(path))
    session, wrong = handler.load_model(), []

    def work(seed):
        rows = list(np.random.default_rng(seed).normal(size=(64, 3)).astype(np.float32))
        for _ in range(50):
            found = [result.inference for result in handler.run_inference(rows, session)]
            if not np.allclose(found, np.array(rows) @ models.WEIGHTS, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_ready_made_batches_may_be_arrays(path):
    batches = [np.array(floats(4)), np.array(floats(2))]
    handler = OnnxModelHandlerNumpy(models.linear(path)).with_no_batching()
    found = [result.inference for result in infer(batches, handler)]
    assert_rows(found, np.concatenate(batches) @ models.WEIGHTS)


def test_bytes_are_those_of_arrays_and_texts():
    handler = OnnxModelHandlerNumpy("model.onnx")
    assert handler.get_num_bytes([np.zeros((3, 224, 224), np.float32)] * 2) == 2 * 602_112
    assert handler.get_num_bytes([{"a": np.zeros(2), "b": "text"}, {"a": np.zeros(3), "b": "ü"}]) == 16 + 4 + 24 + 2
    assert handler.get_num_bytes([np.zeros(2), [1.0, 2.0]]) == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inference_fn": 3}, "inference_fn must be a function, got 3"),
        ({"inference_fn": print, "output_names": ["y"]}, "output_names has no effect with an inference_fn"),
        ({"output_names": []}, r"output_names must be different names of outputs, at least one; got \[\]"),
        ({"output_names": ["a", "a"]}, "output_names must be different names"),
        ({"output_names": [1]}, "output_names must be different names"),
        ({"session_options": 3}, "session_options must be a dict of attributes .*; got 3"),
        ({"providers": "CPUExecutionProvider"}, r"providers must be a list of names, .*got 'CPUExecutionProvider'"),
        ({"providers": []}, r"providers must be a list of names, .*got \[\]"),
        ({"providers": [3]}, "A provider must be a name, or a tuple of name and options, got 3"),
        ({"providers": ["A", ("A", {})]}, "providers has a name twice: A, A"),
        ({"provider_options": [{}]}, "provider_options has no effect without providers"),
        ({"providers": ["A"], "provider_options": [{}, {}]}, r"one dict for each of providers.*got 2 for \['A'\]"),
        ({"providers": [("A", {})], "provider_options": [{}]}, "which must be plain names"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        OnnxModelHandlerNumpy("model.onnx", **arguments)


def test_a_handler_with_options_pickles_where_it_can(path):
    import onnxruntime

    models.linear(path)
    handler = pickle.loads(pickle.dumps(OnnxModelHandlerNumpy(path, {"intra_op_num_threads": 1})))
    assert handler.load_model().get_session_options().intra_op_num_threads == 1
    handler = OnnxModelHandlerNumpy(path, onnxruntime.SessionOptions())
    assert len(list(infer(floats(3), handler.with_postprocess_fn(lambda result: result.inference)))) == 3
    with pytest.raises(ConfigurationError, match=r"cannot be sent to another process. Pass a dict of its attributes"):
        pickle.dumps(handler)


def test_the_path_can_be_changed(path):
    handler = OnnxModelHandlerNumpy("absent.onnx")
    with pytest.raises(ModelLoadError, match=r"absent.onnx does not exist"):
        handler.load_model()
    handler.update_model_path(models.linear(path))
    handler.update_model_path(None)
    assert handler.get_model_id() == path
    assert {result.model_id for result in infer(floats(3), handler)} == {path}
    assert handler.get_metrics_namespace() == "BeamML_Onnx"
