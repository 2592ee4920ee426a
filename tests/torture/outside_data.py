"""Every reader of outside data that the fuzzer knows, by name."""

from collections.abc import Callable, Mapping

from torture import fuzzed_caches, fuzzed_classifiers, fuzzed_media, fuzzed_tables, fuzzed_weights
from torture.reader import Reader

READERS: Mapping[str, Callable[[], Reader]] = {
    "torch": fuzzed_weights.make_torch,
    "tfjs": fuzzed_weights.make_tfjs,
    "weights_format": fuzzed_weights.make_formats,
    "tfhub_archive": fuzzed_weights.make_archive,
    "answers_jsonl": fuzzed_tables.make_json_answers,
    "answers_csv": fuzzed_tables.make_csv_answers,
    "answers_parquet": fuzzed_tables.make_parquet_answers,
    "evaluations": fuzzed_tables.make_evaluations,
    "run_records": fuzzed_tables.make_records,
    "group_table": fuzzed_tables.make_groups,
    "group_rule": fuzzed_tables.make_group_rule,
    "published_table": fuzzed_tables.make_published,
    "clip_list": fuzzed_tables.make_clip_list,
    "wav": fuzzed_media.make_wav,
    "flac": fuzzed_media.make_flac,
    "ogg": fuzzed_media.make_ogg,
    "mp3": fuzzed_media.make_mp3,
    "picture": fuzzed_media.make_picture,
    "jpg_comment": fuzzed_media.make_jpg_comments,
    "classifier_folder": fuzzed_classifiers.make_folder,
    "frozen_graph": fuzzed_classifiers.make_graph,
    "picture_cache": fuzzed_caches.make_picture_cache,
    "bottleneck_shard": fuzzed_caches.make_shard,
    "mark": fuzzed_caches.make_mark,
    "splits": fuzzed_caches.make_splits,
}
