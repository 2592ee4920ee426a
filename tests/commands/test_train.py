"""What retrain.py says at its end."""

from audionet.commands.train import closing_lines


def test_the_report_tells_the_score_and_what_to_type_next(trained, tmp_path, speakers):
    score, claimed, _, refusal, where, command = closing_lines(trained, tmp_path / "my model")
    assert score.startswith("On recordings that training never saw: 3 of 3 recordings right")
    assert "Guessing would get 33%" in score
    assert "would have claimed" in claimed
    assert "Unknown clips are refused" in refusal
    assert str(tmp_path / "my model") in where
    assert f"--model '{tmp_path}/my model' {speakers}" in command
