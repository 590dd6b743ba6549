"""Folders with tiny models."""

import pytest
import torch

from .models import BUILDERS


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """Gives the folder of a model of `BUILDERS`, which is made when it is asked for first."""
    made = {}

    def folder(name):
        if name not in made:
            place = made[name] = tmp_path_factory.mktemp(name)
            for part in BUILDERS[name]():
                part.save_pretrained(place)
        return str(made[name])

    return folder


@pytest.fixture(autouse=True)
def one_thread():
    """For models as small as these, more threads only get in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
