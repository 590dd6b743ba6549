"""Hugging Face: models and pipelines of transformers, from a folder or the hub."""
