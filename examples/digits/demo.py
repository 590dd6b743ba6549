"""Trains a model on scikit-learn's digits and runs it over all of them with `runinference run`.

One row is broken on purpose, to show how it is set aside while the other 1,796 go on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = Path("demo")
BROKEN_ROW = 42


def main() -> int:
    """Makes the data and the model, runs the job and shows where the results are."""
    FOLDER.mkdir(exist_ok=True)
    digits = load_digits(as_frame=True)
    # Trained on every other image, so that the accuracy below is that of images it has not seen.
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(digits.data[::2], digits.target[::2])
    joblib.dump(model, FOLDER / "model.joblib")

    table = digits.data.astype("float32")
    table.insert(0, "id", [f"image-{number:04}" for number in range(len(table))])
    table.iloc[BROKEN_ROW, 10] = np.nan
    table.to_parquet(FOLDER / "digits.parquet", index=False)

    command = [
        *("run", f"sklearn:{FOLDER / 'model.joblib'}", str(FOLDER / "digits.parquet")),
        *(str(FOLDER / "predictions.parquet"), "--key", "id"),
        *("--failures", str(FOLDER / "failures.jsonl"), "--metrics", str(FOLDER / "metrics.json")),
    ]
    print(f"$ runinference {' '.join(command)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "runinference", *command], check=False).returncode
    if code == 0:
        show_accuracy(digits.target.to_numpy())
    return code


def show_accuracy(truth: np.ndarray) -> None:
    """Compares the predictions for the images that the model has not seen with the truth."""
    import pandas as pd

    predictions = pd.read_parquet(FOLDER / "predictions.parquet", columns=["id", "prediction"])
    number = predictions["id"].str.removeprefix("image-").astype(int)
    unseen = number % 2 == 1
    right = predictions["prediction"][unseen] == truth[number[unseen]]
    print(f"\nOf {len(right)} images that the model had not seen, {right.mean():.1%} are right. The last rows:")
    print(predictions.tail(3).to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
