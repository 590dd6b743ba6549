"""Loaded models: load once, share, release, measure their size."""
