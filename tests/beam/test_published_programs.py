"""Programs that were published for Beam's RunInference, with nothing but their imports changed."""

# ruff: noqa: N802, N803 (programs call the transform by its name)

import apache_beam as beam
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from apache_beam.ml.inference.base import RunInference as BeamsRunInference
from apache_beam.testing.util import assert_that, equal_to
from sklearn.linear_model import LinearRegression

from runinference import (
    KeyedModelHandler,
    ModelFileType,
    PredictionResult,
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    SklearnModelHandlerNumpy,
    SklearnModelHandlerPandas,
)
from runinference.beam import RunInference as OurRunInference


class PytorchLinearRegression(torch.nn.Module):
    def __init__(self, input_dim, output_dim):
        super().__init__()
        self.linear = torch.nn.Linear(input_dim, output_dim)

    def forward(self, x):
        return self.linear(x)


class BrightestRow(torch.nn.Module):
    """The number of the row of an image with the largest sum, and a threshold that is learnt."""

    def __init__(self):
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, images):
        sums = images.sum(dim=2)
        return torch.where(sums.amax(dim=1) > self.threshold, sums.argmax(dim=1), -1)


class Affine(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, x, offset):
        return self.factor * x + offset


@pytest.fixture(params=["this package", "Beam"], ids=lambda whose: f"transform of {whose}")
def RunInference(request):
    """The transform of the program: ours, or Beam's own with our handlers in it."""
    return {"this package": OurRunInference, "Beam": BeamsRunInference}[request.param]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """The models of the programs, under their names in the current folder."""
    monkeypatch.chdir(tmp_path)
    x = np.arange(8.0).reshape(4, 2) ** 2
    joblib.dump(LinearRegression().fit(x, x @ [2.0, 3.0] + 1), "model.pkl")
    frame = pd.DataFrame(x, columns=["rooms", "area"])
    joblib.dump(LinearRegression().fit(frame, frame["rooms"] * 2 + frame["area"] * 3 + 1), "frames.pkl")
    torch.save({"linear.weight": torch.tensor([[5.0]]), "linear.bias": torch.tensor([0.5])}, "linear_regression.pth")
    torch.save({"linear.weight": torch.tensor([[-1.0]]), "linear.bias": torch.tensor([2.0])}, "other.pth")
    torch.save({"threshold": torch.tensor(10.0)}, "brightest_row.pth")
    torch.save({"factor": torch.tensor(10.0)}, "affine.pth")


def linear_regression(state_dict_path="linear_regression.pth"):
    return PytorchModelHandlerTensor(
        state_dict_path=state_dict_path,
        model_class=PytorchLinearRegression,
        model_params={"input_dim": 1, "output_dim": 1},
    )


def numbers(result):
    """The example and the prediction of a result as plain numbers."""
    return np.ravel(result.example).tolist(), round(float(result.inference), 4)


def test_scikit_learn_on_arrays(RunInference):
    model_handler = SklearnModelHandlerNumpy(model_uri="model.pkl", model_file_type=ModelFileType.JOBLIB)
    with beam.Pipeline() as p:
        predictions = p | beam.Create([np.array([1.0, 1.0]), np.array([0.0, 10.0])]) | RunInference(model_handler)
        # 2 x 1 + 3 x 1 + 1 and 2 x 0 + 3 x 10 + 1
        assert_that(predictions | beam.Map(numbers), equal_to([([1.0, 1.0], 6.0), ([0.0, 10.0], 31.0)]))


def test_scikit_learn_on_data_frames(RunInference):
    model_handler = SklearnModelHandlerPandas(model_uri="frames.pkl", model_file_type=ModelFileType.JOBLIB)
    houses = [pd.DataFrame({"rooms": [3.0], "area": [70.0]}), pd.DataFrame({"rooms": [1.0], "area": [20.0]})]
    with beam.Pipeline() as p:
        predictions = p | beam.Create(houses) | RunInference(model_handler)
        # 2 x 3 + 3 x 70 + 1 and 2 x 1 + 3 x 20 + 1
        assert_that(predictions | beam.Map(numbers), equal_to([([3.0, 70.0], 217.0), ([1.0, 20.0], 63.0)]))


def test_pytorch_on_tensors(RunInference):
    model_handler = PytorchModelHandlerTensor(
        state_dict_path="linear_regression.pth",
        model_class=PytorchLinearRegression,
        model_params={"input_dim": 1, "output_dim": 1},
    )
    with beam.Pipeline() as p:
        predictions = p | beam.Create([torch.tensor([2.0]), torch.tensor([-4.0])]) | RunInference(model_handler)
        # 5 x 2 + 0.5 and 5 x -4 + 0.5
        assert_that(predictions | beam.Map(numbers), equal_to([([2.0], 10.5), ([-4.0], -19.5)]))


def test_pytorch_on_tensors_by_name(RunInference):
    model_handler = PytorchModelHandlerKeyedTensor("affine.pth", Affine, {"factor": 0.0})
    examples = [{"x": torch.tensor(float(x)), "offset": torch.tensor(float(offset))} for x, offset in [(1, 2), (3, 4)]]
    with beam.Pipeline() as p:
        predictions = p | beam.Create(examples) | RunInference(model_handler)
        assert_that(predictions | beam.Map(lambda result: float(result.inference)), equal_to([12.0, 34.0]))


def test_keys_travel_with_their_images(RunInference):
    keyed_model_handler = KeyedModelHandler(PytorchModelHandlerTensor("brightest_row.pth", BrightestRow))
    with beam.Pipeline() as p:
        data = p | beam.Create(
            [
                ("img1", np.array([[1, 2, 3], [4, 5, 6]])),
                ("img2", np.array([[9, 9, 9], [4, 5, 6]])),
                ("img3", np.array([[1, 2, 3], [0, 0, 0]])),
            ]
        )
        predictions = data | RunInference(keyed_model_handler)
        found = predictions | beam.MapTuple(lambda key, result: (key, result.example.shape, int(result.inference)))
        # The rows add up to 6 and 15, to 27 and 15, and to 6 and 0, which is too dark.
        assert_that(found, equal_to([("img1", (2, 3), 1), ("img2", (2, 3), 0), ("img3", (2, 3), -1)]))


def test_two_models_side_by_side(RunInference):
    with beam.Pipeline() as p:
        data = p | "Read" >> beam.Create([torch.tensor([1.0]), torch.tensor([2.0])])
        model_a_predictions = data | "ModelA" >> RunInference(linear_regression())
        model_b_predictions = data | "ModelB" >> RunInference(linear_regression("other.pth"))
        # 5x + 0.5 and 2 - x
        assert_that(model_a_predictions | "A" >> beam.Map(numbers), equal_to([([1.0], 5.5), ([2.0], 10.5)]), "IsA")
        assert_that(model_b_predictions | "B" >> beam.Map(numbers), equal_to([([1.0], 1.0), ([2.0], 0.0)]), "IsB")


def test_one_model_after_the_other(RunInference):
    model_b = linear_regression("other.pth").with_preprocess_fn(lambda result: result.inference)
    with beam.Pipeline() as p:
        data = p | "Read" >> beam.Create([torch.tensor([1.0]), torch.tensor([2.0])])
        model_a_predictions = data | "ModelA" >> RunInference(linear_regression())
        model_b_predictions = model_a_predictions | "ModelB" >> RunInference(model_b)
        # 2 - (5x + 0.5)
        assert_that(model_b_predictions | beam.Map(numbers), equal_to([([5.5], -3.5), ([10.5], -8.5)]))


class PostProcessor(beam.DoFn):
    def process(self, element: tuple[str, PredictionResult]):
        key, prediction_result = element
        inputs = prediction_result.example
        predictions = prediction_result.inference
        result = f"{inputs.item():g} becomes {predictions.item():g}"
        yield (key, result)


def test_a_function_of_the_pipeline_takes_keys_and_results_apart(RunInference):
    with beam.Pipeline() as p:
        output = (
            p
            | "Read" >> beam.Create([("one", torch.tensor([1.0])), ("two", torch.tensor([2.0]))])
            | "PytorchRunInference" >> RunInference(KeyedModelHandler(linear_regression()))
            | "ProcessOutput" >> beam.ParDo(PostProcessor())
        )
        assert_that(output, equal_to([("one", "1 becomes 5.5"), ("two", "2 becomes 10.5")]))


def test_the_metrics_of_the_talk_are_there(RunInference):
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([torch.tensor([float(x)]) for x in range(20)]) | RunInference(linear_regression())
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter())
    inferences = {each.key.metric.namespace: each for each in found["counters"] if "num_inf" in each.key.metric.name}
    assert inferences.keys() == {"BeamML_PyTorch"}
    assert inferences["BeamML_PyTorch"].result == 20
    of_namespace = {"BatchElements": set(), "BeamML_PyTorch": set()}
    for each in found["distributions"]:
        of_namespace[each.key.metric.namespace].add(each.key.metric.name)
        assert each.result.min <= each.result.mean <= each.result.max
    assert of_namespace["BatchElements"] == {"batch_size", "msec_per_batch"}
    assert of_namespace["BeamML_PyTorch"] >= {
        "inference_batch_latency_micro_secs",
        "inference_request_batch_byte_size",
        "inference_request_batch_size",
        "load_model_latency_milli_secs",
        "model_byte_size",
    }
