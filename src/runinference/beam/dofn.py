"""The step of a pipeline that runs the model."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import EmptySideInput, TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from runinference.beam.dead_letters import COUNTS, FAILED, Catching, reason
from runinference.beam.metrics import BundleMetrics
from runinference.beam.worker import EngineSpec, acquire, release
from runinference.engine.arguments import check_batch
from runinference.engine.bundle import Bundle, Failed, Run
from runinference.engine.service import inference_error
from runinference.errors import InferenceError, InferenceTimeoutError
from runinference.keyed import KeyModelPathMapping
from runinference.prediction import Failure, without_our_frames

_Failed = tuple[WindowedValue, Any, Failure, int | None]
"""The windows and time of an element, the element, its failure, and the batch that it was in."""


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
        self._place: WindowedValue | None = None
        self._model_id: Any = None
        self._tried: Any = None
        self._arguments: Any = None
        self._counts: dict[Any, list[int]] = {}
        self._use(self._spec)
        self._worker.load()

    def start_bundle(self) -> None:
        """Forgets a bundle that failed."""
        if self._bundle is not None:
            self._bundle.abandon()
        self._bundle = self._place = self._tried = None
        self._counts = {}
        self._worker.stop_watching_if_due()

    def process(
        self, element: Any, version: Any, arguments: Any, origin: Any = beam.DoFn.WindowedValueParam
    ) -> Iterable[Any] | None:
        """Takes an element; gives what is ready of those before."""
        bundle, place = self._bundle, self._place
        if bundle is None or version is not None or arguments is not self._arguments or self._prebatched:
            return self._process(element, version, arguments, origin)
        if (
            place is None
            or origin.timestamp_micros != place.timestamp_micros
            or origin.windows is not place.windows
            or origin.pane_info is not place.pane_info
        ):
            # Elements that have these in common share one, which holds none of them.
            place = self._place = origin.with_value(None)
        try:
            bundle.add(element, place)
        except InferenceTimeoutError as error:
            return self._begin_again(error)
        return self._let_go(bundle.done()) if bundle.has_done else None

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

    def _process(self, element: Any, version: Any, arguments: Any, origin: WindowedValue) -> Iterable[Any] | None:
        """The same where something besides the element is to be looked at."""
        before: Sequence[Any] = ()
        if arguments is not self._arguments:
            before = self._use_arguments(arguments)
        if version is not None:
            before = [*before, *self._follow(version)]
        if self._bundle is None:
            self._bundle = self._worker.engine.bundle()
            self._inferred = 0
        if self._prebatched:
            check_batch(element)
            if not len(element):
                return before
        place = origin.with_value(None)
        try:
            self._add(element, place)
        except InferenceTimeoutError as error:
            return [*before, *self._begin_again(error)]
        return [*before, *self._let_go(self._bundle.done())]

    def _add(self, element: Any, place: WindowedValue) -> None:
        assert self._bundle is not None
        if self._prebatched:
            self._bundle.add_batch(element, place)
        else:
            self._bundle.add(element, place)

    def _begin_again(self, error: InferenceTimeoutError) -> list[Any]:
        """Lets go of the elements up to here, for which the model was not loaded in time; the next ones try again."""
        if self._catching is None:
            raise error
        return self._end_of_part()

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
        # One that does not work is tried once in a bundle: the elements for it are not to run one by one.
        if not asked or asked in (self._model_id, self._tried):
            return ()
        self._tried = asked
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

    def _let_go(self, runs: Iterable[Run]) -> Iterator[Any]:
        counts = self._catching is not None and self._catching.threshold < 1
        failed: list[_Failed] = []
        for run in runs:
            place: WindowedValue = run.tag
            failure = run.results[0] if type(run.results[0]) is Failed else None
            if failure is None:
                self._inferred += len(run.results)
                for result in run.results:
                    yield place.with_value(result)
            else:
                error = self._caught(_of_element(failure.error, run.examples[0]))
                # Of a ready-made batch the example in it.
                element = error.failure.example if self._prebatched else run.examples[0]
                failed.append((place, element, error.failure, error.batch))
            if counts:
                count = self._counts.setdefault(tuple(place.windows), [0, 0])
                count[0] += failure is not None
                count[1] += len(run.results)
        if failed:
            yield from self._dead_letters(failed)

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
            for place, element, failure, _ in failed:
                yield TaggedOutput(FAILED, place.with_value((element, reason(failure))))
            return
        together: dict[Any, tuple[WindowedValue, list[Any], Failure]] = {}
        for number, (place, element, failure, batch) in enumerate(failed):
            # Those that came into no batch are alone.
            alike = (tuple(place.windows), batch, failure.error_type, failure.message) if batch is not None else number
            together.setdefault(alike, (place, [], failure))[1].append(element)
        for place, elements, failure in together.values():
            yield TaggedOutput(FAILED, place.with_value((elements, reason(failure))))

    def _record(self, bundle: Bundle) -> None:
        self._worker.model_metrics.count()
        if self._records_metrics:
            self._metrics.record(bundle.notes, self._inferred)


def _of_element(error: BaseException, element: Any) -> BaseException:
    """The error of an element that waited for a model which was not loaded in time; any other as it is."""
    if not isinstance(error, InferenceTimeoutError):
        return error
    return inference_error(Failure.from_exception(error, example=element, index=0, stage="inference"))
