"""Keeps the predictions of a table of one type from the first batch to the last."""

from __future__ import annotations

from typing import Any

from runinference.errors import DataError

_MOST_HELD = 16


class OneType:
    """Casts later batches to the type of the first that has a value, where nothing is lost by it.

    Batches without any value say nothing about the type; the first few are held until another batch does.

    Attributes:
        held: Blocks without a value, with their predictions, that still wait.
    """

    def __init__(self) -> None:
        self.held: list[tuple[Any, Any]] = []
        self._kind: Any = None

    def settle(self, block: Any, predictions: Any) -> list[tuple[Any, Any]]:
        """The blocks that may leave now, with predictions of one type.

        Raises:
            DataError: The type changed.
        """
        import pyarrow as pa

        if self._kind is None:
            if pa.types.is_null(predictions.type) and len(self.held) < _MOST_HELD:
                self.held.append((block, predictions))
                return []
            self._kind = predictions.type
        ready = [(each, values.cast(self._kind)) for each, values in self.held]
        self.held = []
        return [*ready, (block, self._cast(predictions))]

    def _cast(self, predictions: Any) -> Any:
        import pyarrow as pa

        if predictions.type == self._kind:
            return predictions
        try:
            cast = predictions.cast(self._kind)
            # Fields of a struct that the type does not have would go without an error.
            if cast.cast(predictions.type).equals(predictions):
                return cast
            reason = "values would be lost"
        except (pa.ArrowException, ValueError) as error:
            reason = str(error)
        raise DataError(
            f"The predictions changed from type {self._kind} to {predictions.type}: {reason}. "
            "Make them one type, for instance with with_postprocess_fn"
        )
