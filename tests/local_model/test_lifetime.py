import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHILD = "import sys, time; from local_model.lifetime import die_with_parent; die_with_parent(); print('ready', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {CHILD!r}]); child.wait()"


def test_a_child_ends_when_its_parent_is_killed():
    """The child holds the other end of the pipe: its end is the end of the output."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE)
    with parent.stdout as output:
        assert output.readline() == b"ready\n"
        parent.kill()
        parent.wait()
        assert output.read() == b""
