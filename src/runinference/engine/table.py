"""`infer_table`: a model over a table, which stays in columns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runinference.batching import Rows
from runinference.batching.blocks import is_record_batch
from runinference.engine.arrow import FEATURES_COLUMN, add_column, blocks_of, known_rows, num_rows
from runinference.engine.engine import Engine
from runinference.engine.one_type import OneType
from runinference.engine.order import Ready
from runinference.engine.predictions import to_arrow
from runinference.errors import ConfigurationError, closest
from runinference.keyed import is_keyed
from runinference.metrics import Metrics
from runinference.prediction import Failure, PredictionResult

if TYPE_CHECKING:
    import pyarrow as pa

# A handler that takes rows gets them from pieces of this many, so that few are Python objects at one time.
_ROWS_AT_ONCE = 1024


def infer_table(
    source: Any,
    handler: Any,
    *,
    columns: Sequence[str] | None = None,
    key: str | None = None,
    output_column: str = "prediction",
    keep: Sequence[str] | None = None,
    inference_args: Mapping[str, Any] | None = None,
    ordered: bool = True,
    on_failure: Callable[[Failure], Any] | None = None,
    retries: int = 0,
    timeout_s: float | None = None,
    workers: int | None = None,
    progress: bool | Callable[[dict[str, Any]], Any] = False,
    metrics: Metrics | None = None,
    model_identifier: str | None = None,
    watch_model_pattern: str | os.PathLike[str] | Mapping[Hashable, str] | None = None,
    watch_interval_s: float = 30.0,
) -> Iterator[pa.RecordBatch]:
    """Lazily runs a handler's model over a table and adds its predictions as a column.

    ```python
    for batch in infer_table(pyarrow_table, handler, columns=["age", "income"]):
        writer.write_batch(batch)
    ```

    The columns of the input pass through untouched. A handler that takes blocks, such as those for scikit-learn, is
    given the columns as they are; any other handler is given rows: the bare value where `columns` is one column, else
    a dict of the columns.

    Args:
        source: An Arrow table, record batch, reader or anything else that speaks Arrow's C stream; a pandas or polars
            frame; a numpy array of shape (rows, features), which comes out as the column `features`; or an iterable
            of these.
        handler: Loads the model and runs it.
        columns: The columns that the model is given; all but `key` by default.
        key: A column that names the row in failures and, for a keyed handler, is the key of its example.
        output_column: The name of the column that is added.
        keep: The columns of the input that pass through; all by default. Large ones that nobody needs afterwards, such
            as images, leave the memory once the model has seen them, and are not in failures either.
        inference_args: Extra keyword arguments for each call of the model.
        ordered: Give results in the order of the input; else as they are ready.
        on_failure: Given each row that failed, with the row as a dict; the others go on. Without it the first failure
            raises.
        retries: How often a call that may succeed when tried again is tried again.
        timeout_s: Longest time for one call of the model in seconds.
        workers: Threads for pre- and post-processing; 0 runs everything in the caller's thread.
        progress: Show progress on standard error; or a function that is given it as a dict each second.
        metrics: Where to record what is measured.
        model_identifier: Calls in this process that say the same at the same time share one copy of the model.
        watch_model_pattern: Where new versions of the model appear while rows are running: a folder, a glob, a file
            that names one, or the model itself; see [Engine][runinference.engine.engine.Engine].
        watch_interval_s: How often to look there, in seconds.

    Returns:
        An iterator of record batches with the rows that worked.

    Raises:
        ConfigurationError: The handler, a column or an argument cannot work.
        DataError: While iterating: the predictions cannot be a column.
        InferenceError: While iterating: a row failed and there is no `on_failure`.
        ModelLoadError: While iterating: the model cannot be loaded.
        ModelFaultError: While iterating: the model fails on every row.
        MissingDependencyError: pyarrow is not installed.
    """
    engine = Engine(
        handler,
        inference_args=inference_args,
        ordered=ordered,
        on_failure=_with_key(on_failure, key),
        retries=retries,
        timeout_s=timeout_s,
        workers=workers,
        progress=progress,
        metrics=metrics,
        model_identifier=model_identifier,
        watch_model_pattern=watch_model_pattern,
        watch_interval_s=watch_interval_s,
    )
    if engine.keys == "all" and key is None:
        raise ConfigurationError(f"{type(handler).__name__} needs keys: pass key= with the column that holds them")
    if isinstance(columns, str):
        columns = [columns]
    if isinstance(keep, str):
        keep = [keep]
    if keep is not None and key is not None and key not in keep:
        raise ConfigurationError(f"keep={list(keep)} leaves out the key column {key!r}, which names rows in failures")
    view = _View(engine, columns, key, output_column, keep)
    blocks = blocks_of(source)
    if not engine.takes_blocks:
        blocks = _pieces(blocks)
    return _run(engine, view, blocks, known_rows(source), output_column)


def _run(
    engine: Engine, view: _View, blocks: Iterable[Any], total: int | None, output_column: str
) -> Iterator[pa.RecordBatch]:
    with engine:
        engine.choose_by_column(view.key)
        kinds = OneType()
        for ready in engine.ready(blocks, view.rows, total, single_items=True):
            if not len(ready.rows):
                continue
            predictions = to_arrow(_inferences(ready, view.keyed))
            block = ready.rows.data if ready.rows.originals is None else ready.rows.originals
            for earlier, values in kinds.settle(block, predictions):
                yield add_column(earlier, output_column, values)
        for block, values in kinds.held:
            yield add_column(block, output_column, values)


class _View:
    """What the model sees of a block, checked against the columns that there are."""

    def __init__(
        self,
        engine: Engine,
        columns: Sequence[str] | None,
        key: str | None,
        output_column: str,
        keep: Sequence[str] | None,
    ) -> None:
        self._blocks = engine.takes_blocks
        self.keyed = engine.keys != "none" and key is not None
        self._columns = None if columns is None else list(columns)
        self.key = key
        self._output_column = output_column
        self._keep = None if keep is None else list(keep)
        self._checked: list[str] | None = None
        self._chosen: list[str] = []

    def rows(self, items: list[Any], start: int) -> Rows:
        """The rows of a block, as the model takes them."""
        if not items:
            return Rows([], range(start, start))
        block = items[0]
        index = range(start, start + num_rows(block))
        if is_record_batch(block):
            view = self._select(block)
            kept = block if self._keep in (None, block.schema.names) else block.select(self._keep)
        else:
            self._check_array()
            view = kept = block
        if self._blocks:
            return Rows(view, index, None if view is kept else kept)
        examples = _examples(view)
        if self.keyed:
            examples = list(zip(block.column(self.key).to_pylist(), examples, strict=True))
        return Rows(examples, index, kept)

    def _select(self, block: Any) -> Any:
        names = block.schema.names
        if self._checked != names:
            self._check(names)
            self._checked = names
            index = (block.schema.pandas_metadata or {}).get("index_columns", [])
            self._chosen = self._columns or [name for name in names if name != self.key and name not in index]
        return block if self._chosen == names else block.select(self._chosen)

    def _check_array(self) -> None:
        for name, value in (("columns", self._columns), ("key", self.key), ("keep", self._keep)):
            if value is not None:
                raise ConfigurationError(f"{name}={value!r} needs a table with named columns, got an array")
        if self._output_column == FEATURES_COLUMN:
            raise ConfigurationError(f"An array comes out as the column {FEATURES_COLUMN!r}; choose another name")

    def _check(self, names: list[str]) -> None:
        for name in [*(self._columns or ()), *([self.key] if self.key else ()), *(self._keep or ())]:
            if name not in names:
                raise ConfigurationError(
                    f"The table has no column {name!r}.{closest(name, names)} Columns: {', '.join(names)}"
                )
        if self._output_column in names:
            raise ConfigurationError(
                f"The table has a column {self._output_column!r} already; choose another output_column"
            )


def _examples(view: Any) -> list[Any]:
    if not is_record_batch(view):
        return list(view)
    if view.num_columns == 1:
        values: list[Any] = view.column(0).to_pylist()
        return values
    rows: list[Any] = view.to_pylist()
    return rows


def _pieces(blocks: Iterable[Any]) -> Iterator[Any]:
    for block in blocks:
        for start in range(0, num_rows(block), _ROWS_AT_ONCE):
            if is_record_batch(block):
                yield block.slice(start, _ROWS_AT_ONCE)
            else:
                yield block[start : start + _ROWS_AT_ONCE]


def _inferences(ready: Ready, keyed: bool) -> Any:
    results = ready.results
    if isinstance(results, np.ndarray) or hasattr(results, "to_pylist"):
        return results
    if keyed:
        results = [result[1] if is_keyed(result) else result for result in results]
    return [_inference(result) for result in results]


def _inference(result: Any) -> Any:
    if isinstance(result, PredictionResult):
        return result.inference
    if isinstance(result, dict):  # Of several models.
        return {name: each.inference if isinstance(each, PredictionResult) else each for name, each in result.items()}
    return result


def _with_key(on_failure: Callable[[Failure], Any] | None, key: str | None) -> Callable[[Failure], Any] | None:
    if on_failure is None or key is None:
        return on_failure

    def report(failure: Failure) -> Any:
        value = failure.example.get(key) if isinstance(failure.example, dict) else failure.key
        return on_failure(dataclasses.replace(failure, key=value))

    return report
