"""Model files: opened, or a message that says what is wrong."""

import re

import pytest

from runinference import ModelLoadError
from runinference.models.files import open_model_file

pytestmark = pytest.mark.core


def test_a_file_is_read(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    with open_model_file(str(path)) as file:
        assert file.read() == b"weights"


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    (tmp_path / "model.joblib").touch()
    wanted = tmp_path / "modle.joblib"
    expected = f"The model file {wanted} does not exist. Did you mean {tmp_path / 'model.joblib'}?"
    with pytest.raises(ModelLoadError, match=re.escape(expected)):
        open_model_file(str(wanted))


def test_a_missing_folder_is_told_without_a_guess(tmp_path):
    with pytest.raises(ModelLoadError, match=r"absent/model.bin does not exist\.$"):
        open_model_file(str(tmp_path / "absent" / "model.bin"))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ModelLoadError, match="is a folder, not a model file"):
        open_model_file(str(tmp_path))


def test_a_file_below_a_file_cannot_be_read(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelLoadError, match="cannot be read: Not a directory"):
        open_model_file(str(tmp_path / "file" / "model.bin"))
