"""Runs the tests that Beam's own wheel carries for its RunInference, with Beam's names replaced by ours."""
