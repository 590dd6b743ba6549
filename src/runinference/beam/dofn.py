"""The step of a pipeline that runs the model."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import EmptySideInput, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN, WindowedValue

from runinference.beam.dead_letters import COUNTS, FAILED, Catching, reason
from runinference.beam.metrics import BundleMetrics
from runinference.beam.worker import EngineSpec, acquire, release
from runinference.engine.arguments import check_batch
from runinference.engine.bundle import Bundle, BundleRow
from runinference.engine.service import inference_error
from runinference.errors import InferenceError, InferenceTimeoutError
from runinference.keyed import KeyModelPathMapping
from runinference.prediction import Failure, without_our_frames


class _Origin(NamedTuple):
    """An element of the input, with its place in time."""

    element: Any
    timestamp: Any
    windows: Any
    pane: Any

    def with_value(self, value: Any) -> WindowedValue:
        return WindowedValue(value, self.timestamp, self.windows, self.pane)

    def is_again(self, other: _Origin) -> bool:
        """Whether this is the element that `other` was, in one more of its windows."""
        return (
            self.element is other.element
            and self.timestamp == other.timestamp
            and self.pane == other.pane
            and self.windows[0] not in other.windows
        )


_Failed = tuple[_Origin, Any, Failure, int | None]
"""Whence an element came, the element, its failure, and the batch that it was in."""


class RunModel(beam.DoFn):
    """Runs the model on the elements of a bundle, in batches with those of other bundles of this process.

    A bundle takes back the results of its own elements only, and waits for them at its end.

    Args:
        spec: What the engine of a worker is made of.
        prebatched: Each element is a batch.
        catching: Which failures become dead letters; `None` fails the bundle with the first one.
        records_metrics: Report metrics.
    """

    def __init__(self, spec: EngineSpec, prebatched: bool, catching: Catching | None, records_metrics: bool) -> None:
        self._spec = spec
        self._prebatched = prebatched
        self._catching = catching
        self._records_metrics = records_metrics

    def setup(self) -> None:
        """Finds the engine of this process, or makes it, and loads the model."""
        self._metrics = BundleMetrics(self._spec.namespace)
        self._bundle: Bundle | None = None
        self._last: BundleRow | None = None
        self._model_id: Any = None
        self._arguments: Any = None
        self._counts: dict[Any, list[int]] = {}
        self._use(self._spec)
        self._worker.load()

    def start_bundle(self) -> None:
        """Forgets a bundle that failed."""
        if self._bundle is not None:
            self._bundle.abandon()
        self._bundle = self._last = None
        self._counts = {}
        self._worker.stop_watching_if_due()

    def process(
        self, element: Any, version: Any, arguments: Any, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterable[Any] | None:
        """Takes an element in the global window; gives what is ready of those before."""
        return self._process(_Origin(element, timestamp, _GLOBAL, PANE_INFO_UNKNOWN), version, arguments)

    def finish_bundle(self) -> Iterator[Any]:
        """Gives the results of all elements that are left, once they are there."""
        yield from self._end_of_part()
        for windows, (failed, total) in self._counts.items():
            # Counted within their window, at a time that is in it.
            window = windows[0]
            yield TaggedOutput(COUNTS, WindowedValue((failed, total), window.max_timestamp(), windows))

    def teardown(self) -> None:
        """Lets go of the engine."""
        self._release()

    def _process(self, origin: _Origin, version: Any, arguments: Any) -> Iterable[Any] | None:
        before: Sequence[Any] = ()
        if arguments is not self._arguments:
            before = self._use_arguments(arguments)
        if version is not None:
            before = [*before, *self._follow(version)]
        bundle = self._bundle
        if bundle is None:
            bundle = self._bundle = self._worker.engine.bundle()
            self._inferred = 0
        if self._prebatched:
            check_batch(origin.element)
            if not len(origin.element):
                return before
        try:
            self._last = bundle.add(origin.element, origin)
        except InferenceTimeoutError:
            if self._catching is None:
                raise
            # The model was not loaded in time for the elements before; it is tried again for this one.
            before = [*before, *self._end_of_part()]
            self._bundle = bundle = self._worker.engine.bundle()
            self._last = bundle.add(origin.element, origin)
        rows = list(bundle.done())
        if not rows and not before:
            return None
        return [*before, *self._let_go(rows)]

    def _follow(self, version: Any) -> Sequence[Any]:
        """Has the model be what the side input says, before an element runs on it; gives what ran on the one before."""
        if not version or isinstance(version, EmptySideInput):
            return ()
        if isinstance(version, (list, tuple)) and hasattr(version[0], "update_path"):
            asked: Any = tuple(
                KeyModelPathMapping(tuple(each.keys), each.update_path, each.model_id) for each in version
            )
            name = None
        else:
            asked, name = version.model_id, version.model_name
        if not asked or asked == self._model_id:
            return ()
        done = self._end_of_part()
        if self._worker.update(asked):
            self._model_id = asked
            if name:
                self._metrics.prefix = f"{name}_"
        return done

    def _use_arguments(self, arguments: Any) -> Sequence[Any]:
        """Has the model be called with what the side input says; gives what was called with other arguments before."""
        self._arguments = arguments
        spec = self._spec.with_arguments(arguments)
        if spec.tag == self._tag:
            return ()
        done = self._end_of_part()
        self._release()
        self._use(spec)
        self._model_id = None
        return done

    def _end_of_part(self) -> list[Any]:
        """Waits for the elements of the bundle up to here, and gives their results."""
        bundle, self._bundle = self._bundle, None
        if bundle is None:
            return []
        done = list(self._let_go(bundle.finish(hurry=self._spec.is_bounded)))
        self._record(bundle)
        return done

    def _use(self, spec: EngineSpec) -> None:
        self._tag, self._worker = spec.tag, acquire(spec)
        # Not every runner ends with teardown().
        self._release = weakref.finalize(self, release, spec.tag, self._worker)

    def _let_go(self, rows: Iterable[BundleRow]) -> Iterator[Any]:
        failed: list[_Failed] = []
        for row in rows:
            origin: _Origin = row.tag
            if row is self._last:
                self._last = None
            parts = row.result if self._prebatched and row.error is None else [row]
            before = len(failed)
            for part in parts:
                if part.error is None:
                    yield origin.with_value(part.result)
                else:
                    error = self._caught(_of_element(part.error, origin.element))
                    failed.append((origin, self._element(origin, error), error.failure, error.batch))
            self._inferred += len(parts) - (len(failed) - before)
            if self._catching is not None and self._catching.threshold < 1:
                count = self._counts.setdefault(origin.windows, [0, 0])
                count[0] += len(failed) - before
                count[1] += len(parts)
        if failed:
            yield from self._dead_letters(failed)

    def _element(self, origin: _Origin, error: InferenceError) -> Any:
        """What the user gave in: of a ready-made batch the example in it."""
        return error.failure.example if self._prebatched else origin.element

    def _caught(self, error: BaseException) -> InferenceError:
        """The error of a row; raises where it is not one that is to be caught."""
        if not isinstance(error, InferenceError):
            raise error
        original = error.failure.error
        if self._catching is not None and (original is None or isinstance(original, self._catching.exc_class)):
            return error
        if original is None:
            raise error
        raise original.with_traceback(without_our_frames(original.__traceback__))

    def _dead_letters(self, failed: list[_Failed]) -> Iterator[TaggedOutput]:
        assert self._catching is not None
        if not self._catching.per_batch:
            for origin, element, failure, _ in failed:
                yield TaggedOutput(FAILED, origin.with_value((element, reason(failure))))
            return
        together: dict[Any, tuple[_Origin, list[Any], Failure]] = {}
        for number, (origin, element, failure, batch) in enumerate(failed):
            # Those that came into no batch are alone.
            alike = (origin.windows, batch, failure.error_type, failure.message) if batch is not None else number
            together.setdefault(alike, (origin, [], failure))[1].append(element)
        for origin, elements, failure in together.values():
            yield TaggedOutput(FAILED, origin.with_value((elements, reason(failure))))

    def _record(self, bundle: Bundle) -> None:
        self._worker.model_metrics.count()
        if self._records_metrics:
            self._metrics.record(bundle.notes, self._inferred)


class RunModelInWindows(RunModel):
    """The same where windows or panes matter."""

    def process(
        self,
        element: Any,
        version: Any,
        arguments: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterable[Any] | None:
        """Takes an element in each of its windows, and runs it once; gives what is ready of those before."""
        origin = _Origin(element, timestamp, (window,), pane)
        last = self._last
        if last is not None and version is None and arguments is None and origin.is_again(last.tag):
            last.tag = last.tag._replace(windows=(*last.tag.windows, window))
            return None
        return self._process(origin, version, arguments)


def _of_element(error: BaseException, element: Any) -> BaseException:
    """The error of an element that waited for a model which was not loaded in time; any other as it is."""
    if not isinstance(error, InferenceTimeoutError):
        return error
    return inference_error(Failure.from_exception(error, example=element, index=0, stage="inference"))


_GLOBAL = (GlobalWindow(),)
