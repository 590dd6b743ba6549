"""The elements and weights of benchmarks: made once, always the same."""
