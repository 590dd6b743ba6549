"""The metrics of `RunInference` in a pipeline that classifies sentences."""
