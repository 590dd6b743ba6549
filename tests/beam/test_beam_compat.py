"""Beam's own tests with the names of this package, and lists of them that say what is so."""

import pytest
from tests.beam_compat.__main__ import LEAST_SHARE
from tests.beam_compat.verdicts import share_that_passes, verdicts

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def found():
    return verdicts()


def test_no_test_of_beam_fails_but_those_that_are_listed_as_different(found):
    assert {(verdict.module, name): error for verdict in found for name, error in verdict.failed.items()} == {}


def test_most_tests_of_beam_that_apply_pass(found):
    assert share_that_passes(found) >= LEAST_SHARE


def test_every_listed_test_is_there_and_is_as_the_list_says(found):
    assert [line for verdict in found for line in verdict.untrue] == []
