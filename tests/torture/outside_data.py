"""Every reader of outside data that the fuzzer knows, by name."""

from collections.abc import Callable, Mapping

from torture import fuzzed_tables, fuzzed_weights
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
}
