"""Streams of elements, bundle by bundle, for tests."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.transforms import window


def streaming():
    return beam.Pipeline(options=PipelineOptions(["--streaming"]))


def stream(*bundles):
    """Bundles of elements, each at the second that it is."""
    events = test_stream.TestStream()
    for bundle in bundles:
        events = events.add_elements([window.TimestampedValue(row, second(row)) for row in bundle])
    return events.advance_watermark_to_infinity()


def second(row):
    return row[1] if isinstance(row, tuple) else row


def inference(result):
    return result.inference
