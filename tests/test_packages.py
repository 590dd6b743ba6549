"""Optional packages: imported at need, with what to type where one is missing."""

import pickle
import sys

import pytest

from runinference import MissingDependencyError
from runinference.packages import require

pytestmark = pytest.mark.core


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package: `package(name, content of its modules)`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, **modules):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text(modules.pop("init", ""))
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        for found in [known for known in sys.modules if known.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, found)

    yield make
    for found in [known for known in sys.modules if known.startswith("made_for_a_test")]:
        del sys.modules[found]


def test_a_package_that_is_there_is_returned():
    assert require("json", "torch", "read it") is sys.modules["json"]


def test_a_module_of_a_package_is_returned(package):
    package("made_for_a_test", inner="value = 3")
    assert require("made_for_a_test.inner", "torch", "read it").value == 3


def test_a_missing_package_says_what_to_type():
    message = r'no_such_package is needed to read model\.bin\. Install it: pip install "runinference\[torch\]"'
    with pytest.raises(MissingDependencyError, match=message) as caught:
        require("no_such_package.io", "torch", "read model.bin")
    assert isinstance(caught.value, ImportError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_missing_module_of_a_package_that_is_there_is_told(package):
    package("made_for_a_test")
    with pytest.raises(MissingDependencyError, match="made_for_a_test is needed to read it"):
        require("made_for_a_test.absent", "torch", "read it")


def test_what_a_package_itself_misses_is_not_blamed_on_the_package(package):
    package("made_for_a_test", init="import no_such_package_within")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_within") as caught:
        require("made_for_a_test", "torch", "read it")
    assert not isinstance(caught.value, MissingDependencyError)


def test_a_package_that_is_broken_is_not_said_to_be_missing(package):
    package("made_for_a_test", init="raise ImportError('libcuda.so: cannot open')")
    with pytest.raises(ImportError, match="cannot open") as caught:
        require("made_for_a_test", "torch", "read it")
    assert not isinstance(caught.value, MissingDependencyError)
