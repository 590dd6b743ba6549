"""The models of transformers that benchmarks run."""
