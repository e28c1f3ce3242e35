"""A test session that leaves a process behind fails, and ends that process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.options import ROOT
from deploy.local.process import poll_until

LEAVES = """
import subprocess, sys
from pathlib import Path
def test_that_passes():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path({path!r}).write_text(str(child.pid))
    child.returncode = 0  # no warning: the process itself is the evidence
"""


@pytest.mark.parametrize("leaves", [True, False])
def test_a_process_left_behind_fails_the_session(tmp_path: Path, leaves: bool) -> None:
    pid_file = tmp_path / "pid"
    test_file = tmp_path / "test_inner.py"
    source = LEAVES.format(path=str(pid_file)) if leaves else "def test_that_passes():\n    pass\n"
    test_file.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest", "-n", "1"]
    command += ["--rootdir", str(tmp_path), "-c", str(ROOT / "pyproject.toml"), str(test_file)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    if leaves:
        assert done.returncode == 1
        assert "left running by a test" in done.stdout
        pid = int(pid_file.read_text(encoding="utf-8"))
        assert poll_until(lambda: not psutil.pid_exists(pid), 10)  # init reaps it in its own time
    else:
        assert done.returncode == 0, done.stdout
