import pytest

from torture import outside_data
from torture.fuzz import fuzz


@pytest.mark.parametrize("name", outside_data.READERS)
def test_a_reader_of_outside_data_reads_it_right_or_refuses_it_in_a_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome = fuzz(outside_data.READERS[name](), inputs=24, first_seed=0, folder=tmp_path, limits=False)
    assert outcome.inputs >= 24
    assert [finding.what for finding in outcome.findings.values()] == []
