"""pandas frames as an XGBoost model was trained with them: its columns, its categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runinference.errors import ModelFaultError, closest

if TYPE_CHECKING:
    import pandas as pd


def join_frames(batch: Sequence[Any], booster: Any) -> pd.DataFrame:
    """The frames of a batch below each other, each with the columns of the model in its order.

    Args:
        batch: Frames, and dicts of one row each.
        booster: The model; where it knows no names, the columns of the first element are those of all.

    Raises:
        ValueError: An element is neither, or lacks a column.
        ModelFaultError: A column has other categories in some frames, and the model does not hold its own.
    """
    import pandas as pd

    for row in batch:
        if not isinstance(row, (pd.DataFrame, Mapping)):
            raise ValueError(f"An example must be a DataFrame or a dict of one row, got {type(row).__name__}")
    names = getattr(booster, "feature_names", None) or list(batch[0])
    if all(isinstance(row, Mapping) for row in batch):
        return pd.DataFrame([values_of(row, names) for row in batch], columns=names)
    frames = [_as_frame(row, names) for row in batch]
    if len(frames) == 1:
        return frames[0]
    joined = pd.concat(frames, axis=0, ignore_index=True)
    if known_categories(booster) is None:
        for position in _categorical(booster):
            if not _is_category(joined, position) and any(_is_category(frame, position) for frame in frames):
                raise ModelFaultError(
                    f"Column {names[position]!r} has other categories in some rows than in others, and the model holds "
                    "none to tell which is which. Make it one pandas.CategoricalDtype, with the categories of the "
                    "training in their order, or train with XGBoost 3.1 or later"
                )
    return joined


def as_trained(frame: pd.DataFrame, booster: Any, same_categories: bool = True) -> pd.DataFrame:
    """A frame with every column as the model needs it: categories of the training, or numbers.

    Args:
        frame: The rows, with the columns in the order of the model.
        booster: The model.
        same_categories: The caller answers for the categories in the frame where the model holds none.

    Raises:
        ValueError: A column holds something else than in training, or a category that was not there.
        ModelFaultError: Values are to be matched to categories, and the model holds none.
    """
    import pandas as pd

    known = known_categories(booster)
    categorical = set(_categorical(booster))
    trained = frame.copy(deep=False)
    for position, kind in enumerate(frame.dtypes):
        column = frame.iloc[:, position]
        if position in categorical and known is not None:
            trained.isetitem(position, _as_category(column, known[position]))
        elif position in categorical and not pd.api.types.is_numeric_dtype(kind):
            if not (same_categories and _is_category(frame, position)):
                raise ModelFaultError(
                    f"Column {column.name!r} was trained as categories, which the model does not hold, so that its "
                    "values cannot be matched to them. Give their codes as numbers, or train with XGBoost 3.1 or later"
                )
        elif kind == np.dtype(object) or isinstance(kind, pd.StringDtype):
            trained.isetitem(position, column.astype(np.float64).to_numpy())
    return trained


def values_of(row: Mapping[str, Any], names: Sequence[str] | None) -> list[Any]:
    """The values of a row in the order of the model.

    Raises:
        ValueError: One is missing.
    """
    if names is None:
        return list(row.values())
    _check_columns(row, names)
    return [row[name] for name in names]


def holds_categories(block: Any, booster: Any) -> bool:
    """Whether a record batch has columns of texts, or other categories, that the model was trained with as such."""
    if isinstance(block, np.ndarray):
        return False
    import pyarrow as pa

    kinds = block.schema.types
    return any(
        pa.types.is_dictionary(kinds[position])
        or pa.types.is_string(kinds[position])
        or pa.types.is_large_string(kinds[position])
        for position in _categorical(booster)
        if position < len(kinds)
    )


def known_categories(booster: Any) -> list[Any] | None:
    """The categories of each feature, `None` for a number; `None` where the model holds none at all."""
    get = getattr(booster, "get_categories", None)  # Since XGBoost 3.1.
    if get is None or not any(True for _ in _categorical(booster)):
        return None
    categories = get(export_to_arrow=True)
    return None if categories.empty() else [values for _, values in categories.to_arrow()]


def _categorical(booster: Any) -> Iterator[int]:
    """The positions of the features that were trained as categories."""
    kinds = getattr(booster, "feature_types", None) or ()
    return (position for position, kind in enumerate(kinds) if kind == "c")


def _as_frame(row: Any, names: Sequence[Any]) -> pd.DataFrame:
    import pandas as pd

    if isinstance(row, Mapping):
        return pd.DataFrame([values_of(row, names)], columns=list(names))
    frame: pd.DataFrame = row
    if list(frame.columns) == list(names):
        return frame
    _check_columns(frame.columns, names)
    return frame[list(names)]


def _check_columns(found: Any, names: Sequence[Any]) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        given = [str(name) for name in found]
        raise ValueError(
            f"Column {missing[0]!r} is missing.{closest(str(missing[0]), given)} {len(missing)} of the {len(names)} "
            f"columns of the model are; there are: {', '.join(given[:20])}"
        )


def _is_category(frame: pd.DataFrame, position: int) -> bool:
    import pandas as pd

    return isinstance(frame.dtypes.iloc[position], pd.CategoricalDtype)


def _as_category(column: pd.Series[Any], known: Any) -> pd.Categorical[Any]:
    import pandas as pd

    categories = pd.Index(known.to_pandas())
    values = pd.Index(column.astype(object)).infer_objects()
    codes = categories.get_indexer(values)
    unknown = values[(codes < 0) & ~values.isna()]
    if len(unknown):
        # XGBoost itself takes some of them for the next category in the order of the alphabet.
        shown = ", ".join(map(repr, categories[:10].tolist())) + (", …" if len(categories) > 10 else "")
        raise ValueError(
            f"Column {column.name!r} holds {unknown.tolist()[0]!r}, which is not among the {len(categories):,} "
            f"categories of the training: {shown}"
        )
    return pd.Categorical.from_codes(codes, categories)
