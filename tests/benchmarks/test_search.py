import json

from benchmarks import search
from benchmarks.options import SearchOptions


def test_a_search_finds_what_brute_force_finds(tmp_path, capsys):
    options = SearchOptions(chunks=3_000, chunks_a_file=7, labels=20, dimension=160, output_dir=tmp_path)
    assert search.run(options) == 0
    assert "of the 10 best found" in capsys.readouterr().out
    result = json.loads((tmp_path / "search" / "search.json").read_text())
    assert result["recall"] > 0.95 and result["ratio"] > 0
    assert not (tmp_path / "search" / "index").exists()
