import numpy as np
import pytest

from audionet.training.fitting.sample_weights import balanced_weights, picture_weights


def test_a_picture_counts_as_much_as_all_of_its_views_together():
    weights = picture_weights(np.array([0, 0, 1, 1, 2, 2, 3, 3]))
    assert weights[:2].sum() == weights[2:].sum()


def test_without_views_pictures_count_alike():
    assert picture_weights(np.zeros(3, int)).tolist() == [1, 1, 1]


def test_labels_count_alike_however_many_samples_they_have():
    label_ids = np.array([0, 0, 0, 5])
    weights = balanced_weights(np.array([2.0, 1.0, 1.0, 1.0]), label_ids)
    assert weights[:3].sum() == pytest.approx(weights[3]) and weights.sum() == pytest.approx(4)
    assert weights[0] == pytest.approx(2 * weights[1])


def test_of_no_samples_there_are_no_weights():
    assert balanced_weights(picture_weights(np.empty(0, int)), np.empty(0, int)).shape == (0,)
