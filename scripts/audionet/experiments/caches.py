"""What the cache of a project holds, whether it is whole, and what nothing needs any more.

    bottleneck_dir/
        <network>-<digest>/     bottlenecks, needed while a picture that they are of is there
        pictures/, negatives/   pictures drawn of folders of recordings, needed while the recordings are there
        views/, training/       augmented views and networks trained whole, needed while there is any picture
        pictures.sqlite         what is known of pictures, needed while they are there

Nothing is lost by pruning: what is needed again is computed again. Whatever else lies there is left alone.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audionet.data.groups import NO_HASH
from audionet.errors import InputError
from audionet.features.recipes import DRAWINGS, Recipe, redrawn
from audionet.file_cache import FileCache, file_stamp
from audionet.files import one_writer, printable, read_mark, sha256_of
from audionet.models.bottleneck_cache import SOUND, key_of, keys_of_shard
from audionet.training.training_data import PICTURE_CACHE_NAME

DRAWN = ("pictures", "negatives")
OF_ANY_PICTURE = ("views", "training")


@dataclass(frozen=True)
class CachePart:
    """A folder or a file of the cache."""

    path: Path
    holds: str  # in a few words
    files: int
    size_bytes: int
    used: float  # when a file of it was last written, in seconds since 1970
    needed_by: str  # in a few words; empty where nothing needs it
    damaged: tuple[Path, ...] = ()  # files that are not as they were written; found only where it was asked


def read_cache(bottleneck_dir: Path, *, verify: bool = False) -> list[CachePart]:
    """Return the parts of a cache; with `verify` all of it is read, to find what is damaged.

    Raises:
        InputError: the folder is no cache, or what is known of pictures cannot be read.
    """
    if (read_mark(bottleneck_dir) or {}).get("kind") != "bottlenecks":
        raise InputError(
            f"--bottleneck_dir: expected a folder that audionet train keeps its cache in, but "
            f"{printable(bottleneck_dir)} is none."
        )
    drawn = list(_drawn_parts(bottleneck_dir))
    gone = [part.path for part in drawn if not part.needed_by]
    pictures = {
        path: value
        for path, value in _known_pictures(bottleneck_dir).items()
        if path.is_file() and not any(path.is_relative_to(folder) for folder in gone)
    }
    parts = [*drawn, *_bottleneck_parts(bottleneck_dir, pictures, verify=verify)]
    for name in OF_ANY_PICTURE:
        if (bottleneck_dir / name).is_dir():
            needed_by = f"{len(pictures)} pictures" if pictures else ""
            parts.append(_part(bottleneck_dir / name, _holds(name), needed_by))
    if (path := bottleneck_dir / PICTURE_CACHE_NAME).is_file():
        damaged = _changed_pictures(path) if verify else ()
        parts.append(_part(path, "what is known of pictures", f"{len(pictures)} pictures", damaged))
    return parts


def prune(bottleneck_dir: Path) -> list[CachePart]:
    """Remove the parts that nothing needs, and return them; remove what is damaged or about pictures that are gone.

    Raises:
        InputError: as `read_cache`, or another run writes there.
    """
    removed = []
    for part in read_cache(bottleneck_dir, verify=True):
        if not part.needed_by:
            with one_writer(part.path, option="--prune"):
                shutil.rmtree(part.path)
            removed.append(part)
        elif part.path.is_dir():
            for path in part.damaged:
                path.unlink(missing_ok=True)
    path = bottleneck_dir / PICTURE_CACHE_NAME
    if path.is_file():
        with FileCache(path) as cache:
            cache.remove([name for name in cache.paths() if not Path(name).is_file()])
    return removed


def _drawn_parts(bottleneck_dir: Path) -> Iterator[CachePart]:
    for kind in DRAWN:
        folder = bottleneck_dir / kind
        for place in sorted(folder.iterdir()) if folder.is_dir() else ():
            audio_dir = (read_mark(place) or {}).get("audio_dir")
            if isinstance(audio_dir, str):
                needed_by = f"the recordings in {audio_dir}" if Path(audio_dir).is_dir() else ""
                yield _part(place, f"pictures of {audio_dir}", needed_by)


def _known_pictures(bottleneck_dir: Path) -> dict[Path, str]:
    """Return the hash of each picture's content that is known, by path."""
    path = bottleneck_dir / PICTURE_CACHE_NAME
    if not path.is_file():
        return {}
    with FileCache(path) as cache:
        values = cache.values()
    return {
        Path(name): value["sha256"]
        for name, value in values.items()
        if isinstance(value, Mapping) and isinstance(value.get("sha256"), str)
    }


def _bottleneck_parts(bottleneck_dir: Path, pictures: Mapping[Path, str], *, verify: bool) -> Iterator[CachePart]:
    keys = _keys_of(pictures)
    is_known = (bottleneck_dir / PICTURE_CACHE_NAME).is_file()
    for folder in sorted(bottleneck_dir.iterdir()):
        if (read_mark(folder) or {}).get("kind") != "bottlenecks":
            continue
        damaged, count = [], 0
        for path in sorted(folder.glob("*.npy")):
            found = keys_of_shard(path, verify=verify)
            if found is None:
                damaged.append(path)
            else:
                count += len(keys & found)
        needed_by = f"{count} pictures" if count else "" if is_known else "pictures that are not known any more"
        yield _part(folder, f"bottlenecks of {folder.name.rpartition('-')[0]}", needed_by, tuple(damaged))


def _keys_of(pictures: Mapping[Path, str]) -> set[bytes]:
    """Return all keys that bottlenecks of pictures, as they are or drawn in another way, may be kept by."""
    drawn: set[str | None] = {None, SOUND}
    for folder in {parent for path in pictures for parent in path.parents}:
        recipe = (read_mark(folder) or {}).get("recipe")
        if isinstance(recipe, dict):
            own = Recipe.from_json(recipe)
            drawn |= {redrawn(own, drawing).digest for drawing in DRAWINGS}
    return {bytes.fromhex(key_of(content, one)) for content in set(pictures.values()) for one in drawn}


def _changed_pictures(path: Path) -> tuple[Path, ...]:
    """Return the pictures whose bytes are others than were read, though their size and times are the same."""
    changed = []
    with FileCache(path, context=NO_HASH) as cache:
        for name, (stamp, value) in cache.items().items():
            picture = Path(name)
            content = value.get("sha256") if isinstance(value, Mapping) else None
            is_same = picture.is_file() and file_stamp(picture) == stamp
            if content and is_same and content != sha256_of(picture.read_bytes()):
                changed.append(picture)
    return tuple(changed)


def _holds(name: str) -> str:
    return "augmented views" if name == "views" else "networks trained whole"


def _part(path: Path, holds: str, needed_by: str, damaged: tuple[Path, ...] = ()) -> CachePart:
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    status = [one.stat() for one in files]
    return CachePart(
        path,
        holds,
        files=len(files),
        size_bytes=sum(one.st_size for one in status),
        used=max((one.st_mtime for one in status), default=path.stat().st_mtime),
        needed_by=needed_by,
        damaged=damaged,
    )
