"""Importing the package imports no framework, and every public name is there."""

import subprocess
import sys

import pytest

import runinference

pytestmark = pytest.mark.core

FRAMEWORKS = {
    *("PIL", "click", "fsspec", "joblib", "jax", "pandas", "polars", "pyarrow", "scipy", "skops", "sklearn", "rich"),
    *("tensorflow", "torch", "transformers", "onnxruntime", "xgboost", "apache_beam", "matplotlib", "pytest"),
}


def loaded_after(code):
    code += "\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import runinference; assert 'infer' in dir(runinference)",
        "import runinference\nfor name in runinference.__all__: getattr(runinference, name)",
        "from runinference import *",
        "import runinference.testing.fakes",
        "from runinference import SklearnModelHandlerNumpy; SklearnModelHandlerNumpy('model.pkl')",
        "from runinference import OnnxModelHandlerNumpy; OnnxModelHandlerNumpy('model.onnx')",
        "from runinference import XGBoostModelHandlerNumpy; XGBoostModelHandlerNumpy(dict, 'model.json')",
        "from runinference import TFModelHandlerNumpy; TFModelHandlerNumpy('model')",
        "from runinference import PytorchModelHandlerTensor; PytorchModelHandlerTensor('model.pth', dict)",
        "from runinference import PytorchModelHandlerKeyedTensor as H; H('m.pth', dict, padding=0, precision='bf16')",
        "from runinference import HuggingFaceTextModelHandler; HuggingFaceTextModelHandler('bert', 'AutoModel')",
        "from runinference import HuggingFaceEmbeddingModelHandler; HuggingFaceEmbeddingModelHandler('minilm')",
        "from runinference import HuggingFacePipelineModelHandler as H; H('text-classification')",
        "from runinference import ImagePreprocessor; ImagePreprocessor()",
    ],
)
def test_no_framework_is_imported(code):
    assert loaded_after(code) & FRAMEWORKS == set()


def test_the_package_alone_does_not_even_import_numpy():
    assert "numpy" not in loaded_after("import runinference; dir(runinference)")


def test_every_name_can_be_imported_and_is_listed():
    for name in runinference.__all__:
        assert getattr(runinference, name) is not None
        assert name in dir(runinference)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'runinference' has no attribute 'infr'"):
        runinference.infr  # noqa: B018
