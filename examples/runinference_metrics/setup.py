"""The pipeline as a package: what the workers of Dataflow install before they start."""

from setuptools import find_packages, setup

setup(
    name="runinference-metrics-pipeline",
    version="1.0.0",
    packages=find_packages(),
    py_modules=["config"],
    install_requires=["apache-beam[gcp]", "gcsfs", "runinference[beam,huggingface]"],
)
