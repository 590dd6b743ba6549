"""The heart: the loop that joins batching, models, failures, order, back-pressure and metrics."""
