from audionet.models.bottleneck_cache import BottleneckCache
from benchmarks.speed import (
    pipeline_steps,
    synthetic_data,
)


def test_made_bottlenecks_come_from_the_cache_the_second_time(tmp_path, monkeypatch):
    synthetic_data.make_pictures(tmp_path / "pictures", count=40)
    assert pipeline_steps.read_bottlenecks(str(tmp_path / "pictures"), str(tmp_path / "cache"), 8) > 0
    monkeypatch.setattr(BottleneckCache, "add", None)
    assert pipeline_steps.read_bottlenecks(str(tmp_path / "pictures"), str(tmp_path / "cache"), 8) > 0
