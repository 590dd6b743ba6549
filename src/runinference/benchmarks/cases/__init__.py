"""The benchmarks, each in a file of its own. What is put here is listed."""
