"""Fakes and contract tests for authors of handlers."""
