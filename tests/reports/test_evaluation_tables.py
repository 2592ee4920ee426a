"""What evaluations say on the terminal."""

import pytest
from scored_examples import LABELS, plain, scored_folder

from audionet.evaluation.evaluate import evaluate
from audionet.reports import evaluation_tables


@pytest.mark.parametrize("how", [[], ["a.wav (training) is bob/b.wav (testing), sample by sample."]])
def test_recordings_that_were_trained_on_are_counted_and_each_is_named_once(how, capsys):
    evaluation = plain(evaluate(scored_folder(), LABELS)) | {"shared_with_training": how}
    evaluation["recordings"][0]["in_training"] = 5
    evaluation_tables.warn(evaluation)
    said = capsys.readouterr().err
    assert f"1 of {len(evaluation['recordings'])} recordings had a part in training" in said
    assert said.count(f"  {how[0] if how else evaluation['recordings'][0]['recording']}\n") == 1
