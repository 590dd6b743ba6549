"""What the pipeline is made of; `setup.py` installs this package on the workers of Dataflow."""
