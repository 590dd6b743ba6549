"""Jobs over files: what is read, how it is written, and what is left of a job that was killed."""
