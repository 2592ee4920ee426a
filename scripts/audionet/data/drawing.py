"""From a recording, or from clips of it, to their pictures in a folder."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audionet.audio.chunks import Chunk
from audionet.audio.measurements import ChunkStats, covered_seconds, measure_chunk
from audionet.audio.source_band import source_band
from audionet.audio.writing import write_wav
from audionet.data.drawn_recordings import Made, Task, digest_of_file, output_names
from audionet.distributed.storage import local_copy, stamp_of
from audionet.errors import RecordingError
from audionet.features.extraction import chunks_by_recipe, clips_by_recipe, drawn_jpg
from audionet.features.recipes import Recipe
from audionet.files import disk_is_full, printable, write_bytes

OfSource = tuple[Task, ...]
"""What is to be drawn of one file: all of it, or some clips."""


@dataclass(frozen=True)
class Drawer:
    """Writes the pictures of recordings and of clips of them."""

    image_dir: Path
    recipe: Recipe
    keep_wav: bool  # whether each chunk is written as wav beside its picture

    def draw(self, tasks: OfSource) -> list[Made | str] | str:
        """Write the pictures of what is wanted of one file; return what was made of each or why nothing was."""
        try:
            return self._draw(tasks)
        except RecordingError as error:
            return str(error)
        except OSError as error:
            if disk_is_full(error):
                raise
            return f"{printable(error.filename or tasks[0].source)}: {error.strerror}"

    def _draw(self, tasks: OfSource) -> list[Made | str]:
        file = tasks[0].source
        stamp = stamp_of(file)
        with local_copy(file) as source:
            digest = digest_of_file(source)
            drawn = self._drawn_chunks(tasks, source)
            band = source_band(source, low_hz=self.recipe.low_hz, high_hz=self.recipe.high_hz)
        if stamp_of(file) != stamp:
            raise RecordingError("it changed while it was drawn; try again when it is complete")
        made: list[Made | str] = []
        for task, found in zip(tasks, drawn, strict=True):
            if isinstance(found, str):
                made.append(found)
                continue
            notes = [{**found[0][1], "source": band} if band else found[0][1], *(stats for _, stats in found[1:])]
            chunks = [index for index, _ in found]
            made.append(Made(task.target, chunks, covered_seconds(notes), notes, sha256=digest))
        return made

    def _drawn_chunks(self, tasks: OfSource, source: Path) -> list[list[tuple[int, ChunkStats]] | str]:
        """Write the pictures of a recording that lies at `source`.

        Returns:
            list: for each task the numbers of its chunks with their statistics, or the reason why there are none.
        """
        found: list[list[tuple[int, ChunkStats]]] = [[] for _ in tasks]
        reasons: dict[int, str] = {}
        for number, chunk in self._chunks(tasks, source):
            if isinstance(chunk, RecordingError):
                reasons[number] = str(chunk)
            else:
                found[number].append((chunk.index, self._write(tasks[number], chunk)))
        return [reasons.get(number, of_task) for number, of_task in enumerate(found)]

    def _chunks(self, tasks: OfSource, source: Path) -> Iterator[tuple[int, Chunk | RecordingError]]:
        """Yield the chunks of a file, each with the number of the task that it is of."""
        whole = [number for number, task in enumerate(tasks) if task.span is None]
        for number in whole:
            for chunk in chunks_by_recipe(source, self.recipe):
                yield number, chunk
        parts = [number for number, task in enumerate(tasks) if task.span is not None]
        spans = [task.span for task in tasks if task.span is not None]
        if parts:
            for place, chunk_or_error in clips_by_recipe(source, spans, self.recipe):
                yield parts[place], chunk_or_error

    def _write(self, task: Task, chunk: Chunk) -> ChunkStats:
        """Write the picture of a chunk, and its sound where that is wanted, and return its statistics."""
        jpg, wav = (self.image_dir / name for name in output_names(task.target, chunk.index))
        stats, level_dbfs = measure_chunk(chunk)
        about = {
            "recording": task.recording,
            "offset_seconds": round(chunk.offset_seconds, 6),
            "seconds": round(chunk.seconds, 6),
            "level_dbfs": level_dbfs,
            "recipe": self._recipe_json,
        }
        content = drawn_jpg(chunk.samples, self.recipe, about)
        if self.keep_wav:
            write_wav(wav, chunk.samples, sample_rate_hz=self.recipe.sample_rate_hz)
        write_bytes(jpg, content)
        return stats

    @functools.cached_property
    def _recipe_json(self) -> dict[str, Any]:
        return self.recipe.to_json()
