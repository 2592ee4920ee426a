import pytest

from audionet import errors


@pytest.mark.parametrize("name", ["InputError", "RecordingError", "PictureError", "WeightsError", "ClassifierError"])
def test_every_fault_that_we_explain_is_caught_by_one_name(name):
    assert issubclass(getattr(errors, name), errors.AudioNetError)


def test_a_broken_program_is_not_taken_for_a_fault_that_we_explain():
    assert not issubclass(errors.AudioNetError, OSError | ValueError | RuntimeError)
