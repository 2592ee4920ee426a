"""Work on a real Ray cluster on loopback, a head and a node as processes: its results, and what it survives."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import FakeBackbone, names_below, run_python, voice, write_sound, write_speakers

from audionet.data.preprocessing import make_pictures
from audionet.distributed import cluster
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.files import one_writer
from audionet.models.bottleneck_cache import BottleneckCache
from audionet.parallel import CRASHED, run_groups

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")

RECIPE = find_recipe("default")
ROUNDS = range(int(os.environ.get("CLUSTER_ROUNDS", "1")))  # of each fault, at other moments
at_random = pytest.mark.parametrize("seed", ROUNDS)


@pytest.fixture(scope="module")
def two_nodes():
    """Start a cluster of two nodes, and yield it with its address."""
    from ray.cluster_utils import Cluster

    kept = os.environ["PYTHONPATH"]
    here = Path(__file__).parent
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([kept, str(here), str(here.parent)])  # of what workers import by name
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()
    os.environ["PYTHONPATH"] = kept


@pytest.fixture
def address(two_nodes):
    with cluster.connected(two_nodes.address):
        yield two_nodes.address


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the pictures and sounds below a folder, by name."""
    return {name: (folder / name).read_bytes() for name in names_below(folder) if name.endswith((".jpg", ".wav"))}


def workers() -> list[psutil.Process]:
    """Return the processes of the cluster that do our tasks at this moment."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith("ray::_"):
            found.append(process)
    return found


def nap_and_double(number: int) -> int:
    time.sleep(0.05)
    return 2 * number


def crash_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise OSError(28, "No space left on device", "here")
    return number


def groups_of(count: int) -> list[list[int]]:
    return [[2 * number, 2 * number + 1] for number in range(count // 2)]


def done(groups) -> dict:
    return {task: result for group in groups for task, result in group}


def test_a_task_that_crashes_its_process_is_told_and_the_others_are_done(address):
    found = done(run_groups(crash_on_three, groups_of(12), jobs=None, in_order=True))
    assert found == {number: CRASHED if number == 3 else number for number in range(12)}


def test_an_error_of_a_task_is_raised_as_on_one_machine(address):
    with pytest.raises(OSError, match="No space left") as caught:
        list(run_groups(fail_on_three, groups_of(12), jobs=None, in_order=True))
    assert (caught.value.errno, caught.value.filename) == (28, "here")


@at_random
def test_workers_that_are_killed_at_random_moments_lose_nothing(address, seed):
    killed = []
    is_done = threading.Event()

    def kill():
        rng = np.random.default_rng(seed)
        while not is_done.wait(rng.uniform(0.2, 0.6)) and len(killed) < 4:
            for process in workers()[:1]:
                killed.append(process.pid)
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    found = done(run_groups(nap_and_double, groups_of(120), jobs=None, in_order=False))
    is_done.set()
    killer.join()
    assert killed
    assert found == {number: 2 * number for number in range(120)}


def test_pictures_are_those_of_one_machine_byte_for_byte(tmp_path, address):
    audio = write_speakers(tmp_path / "audio", recordings=3, seconds=5)
    (audio / "bob" / "broken.wav").write_bytes(b"no sound")
    here, there = (tmp_path / name for name in ("here", "there"))
    by_cluster = make_pictures(audio, there, recipe=RECIPE)
    cluster_address = cluster._connections.pop()
    by_processes = make_pictures(audio, here, recipe=RECIPE)
    cluster._connections.append(cluster_address)
    assert contents_of(there) == contents_of(here) != {}
    assert by_cluster.failures == by_processes.failures
    assert set(by_cluster.failures) == {"bob/broken.wav"}
    assert make_pictures(audio, there, recipe=RECIPE).recordings_kept == 9


def read_number(number: int) -> np.ndarray:
    return np.full((32, 32, 3), number, np.uint8)


def test_bottlenecks_and_their_files_are_those_of_one_machine(tmp_path, address):
    keys = [f"{number:064x}" for number in range(100)]
    vectors, failures = BottleneckCache(tmp_path / "there", FakeBackbone()).compute(keys, range(100), read_number)
    cluster_address = cluster._connections.pop()
    expected, _ = BottleneckCache(tmp_path / "here", FakeBackbone()).compute(keys, range(100), read_number)
    cluster._connections.append(cluster_address)
    assert not failures
    assert np.array_equal(vectors, expected)
    assert names_below(tmp_path / "there") == names_below(tmp_path / "here")


@at_random
def test_a_node_that_is_lost_loses_no_task(two_nodes, seed):
    lost = two_nodes.add_node(num_cpus=1)
    two_nodes.wait_for_nodes()
    with cluster.connected(two_nodes.address):
        groups = run_groups(nap_and_double, groups_of(160), jobs=None, in_order=False)
        found = done([next(groups) for _ in range(5 + 7 * seed % 60)])
        two_nodes.remove_node(lost, allow_graceful=False)
        found |= done(groups)
    assert found == {number: 2 * number for number in range(160)}


@at_random
def test_a_driver_that_is_killed_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path, two_nodes, seed):
    audio = tmp_path / "audio"
    for number in range(12):
        write_sound(audio / ("alice" if number % 2 else "bob") / f"{number}.wav", voice("bob", seed=number, seconds=40))
    options = ["--audio_dir", audio, "--image_dir", tmp_path / "there", "--cluster", two_nodes.address]
    command = [sys.executable, "-m", "audionet", "data", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as driver:
        while not list(tmp_path.glob("there/*/*.jpg")):
            assert driver.poll() is None
            time.sleep(0.05)
        time.sleep(0.2 * seed)
        driver.kill()
    again = run_python("-m", "audionet", "data", *options)
    assert again.returncode == 0, again.stderr
    make_pictures(audio, tmp_path / "here", recipe=RECIPE)
    assert contents_of(tmp_path / "there") == contents_of(tmp_path / "here")


def test_a_node_that_does_not_see_the_folder_is_named(two_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_nearest_folder", lambda path: path)
    lacking = pytest.raises(InputError, match=r"does not see the folder /nowhere.*same name")
    with lacking, cluster.connected(two_nodes.address, folders=[Path("/nowhere")]):
        pass


def test_other_versions_on_a_node_are_named(two_nodes, monkeypatch):
    ours = cluster._versions()
    monkeypatch.setattr(cluster, "_versions", lambda: ours | {"numpy": "0.1"})
    other = pytest.raises(InputError, match=r"has numpy .*, and this machine has 0\.1.*Install the same versions")
    with other, cluster.connected(two_nodes.address):
        pass


def test_two_drivers_do_not_write_to_one_folder(tmp_path, address):
    audio = write_speakers(tmp_path / "audio", recordings=1)
    with one_writer(tmp_path / "pictures", option="--image_dir"):
        options = ["--audio_dir", audio, "--image_dir", tmp_path / "pictures", "--cluster", address]
        said = run_python("-m", "audionet", "data", *options)
    assert said.returncode == 2
    assert "another run writes to" in said.stderr


def test_an_address_where_no_cluster_is_gives_one_clear_sentence():
    said = run_python(
        "-m", "audionet", "data", "--cluster", "ray://127.0.0.1:9", "--audio_dir", "tf_files/sample_audio"
    )
    assert said.returncode == 2
    assert said.stderr.startswith("Error: --cluster: expected a Ray cluster at ray://127.0.0.1:9")
    assert "Traceback" not in said.stderr
