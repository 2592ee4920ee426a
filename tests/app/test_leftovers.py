import os
import subprocess
import sys
from pathlib import Path

from conftest import SCRIPTS

MAKE = """
import sys, tempfile; tempfile.tempdir = sys.argv[1]
from pathlib import Path
from audionet.app.state import AppSettings, AppState
here = Path(sys.argv[1])
state = AppState(AppSettings(model=here, taught_dir=here / "t", examples_dir=here / "e", runs_dir=here / "r"))
(state.uploads_dir / "upload.wav").write_bytes(b"sound")
"""


def run_in(folder: Path, script: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    assert subprocess.run([sys.executable, "-c", script, str(folder)], env=env, check=False).returncode == 9


def test_what_a_killed_server_left_goes_at_the_next_start(tmp_path):
    run_in(tmp_path, MAKE + "import os; os._exit(9)")
    assert sorted(name.rpartition("-")[0] for name in os.listdir(tmp_path)) == ["audionet-sandbox", "audionet-uploads"]
    left = set(os.listdir(tmp_path))
    run_in(tmp_path, MAKE + "import os; os._exit(9)")
    assert not left & set(os.listdir(tmp_path))
