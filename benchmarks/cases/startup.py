"""How long it takes until something happens: importing the package, and the help of the command."""

from __future__ import annotations

import json
from statistics import median

from harness import child
from harness.measure import alternate
from harness.result import Result, Settings

_IMPORT_TARGET_S = 0.1
_HELP_TARGET_S = 0.3
_RUNS = 10

# None of these may be loaded by `import runinference`.
_FRAMEWORKS = frozenset(
    {
        "apache_beam",
        "cupy",
        "daft",
        "dask",
        "fsspec",
        "google",
        "jax",
        "joblib",
        "lightgbm",
        "numpy",
        "onnxruntime",
        "openai",
        "pandas",
        "polars",
        "pyarrow",
        "ray",
        "rich",
        "scipy",
        "sklearn",
        "skops",
        "tensorflow",
        "torch",
        "transformers",
        "vllm",
        "xgboost",
    }
)


def run(settings: Settings) -> list[Result]:
    """The import minus bare Python, and `runinference --help` with all that belongs to it."""
    del settings
    samples = alternate(
        {
            "import": lambda: child.python("-c", "import runinference")[0],
            "bare": lambda: child.python("-c", "pass")[0],
        },
        _RUNS,
    )
    loaded = json.loads(child.python("-c", _LIST_MODULES)[1])
    found = sorted(_FRAMEWORKS.intersection(loaded))
    return [
        Result(
            "startup: import runinference",
            ours=median(samples["import"]),
            peer=median(samples["bare"]),
            unit="s",
            values=[a - b for a, b in zip(samples["import"], samples["bare"], strict=True)],
            target=_IMPORT_TARGET_S,
            at_least=False,
            value_unit="s",
            samples={f"{name}_s": figures for name, figures in samples.items()},
        ),
        Result(
            "startup: frameworks that the import loads",
            values=[len(found)],
            target=0,
            at_least=False,
            value_unit="",
            note=f"it loads {', '.join(found)}" if found else "none, nor numpy",
        ),
        _help(),
    ]


def _help() -> Result:
    name = "startup: runinference --help"
    if not child.command().exists():
        return Result(name, skipped="the command is not installed in this environment")
    command = (child.command(), "--help")
    if "run" not in child.run(command)[1]:
        return Result(name, answers_equal=False, note="the help does not name the command run")
    samples = alternate({"help": lambda: child.run(command)[0]}, _RUNS)
    return Result(
        name,
        ours=median(samples["help"]),
        unit="s",
        values=samples["help"],
        target=_HELP_TARGET_S,
        at_least=False,
        value_unit="s",
        samples={"help_s": samples["help"]},
    )


_LIST_MODULES = """
import json, sys
before = set(sys.modules)
import runinference
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
