"""A process that holds a model for all processes of a user on a machine."""
