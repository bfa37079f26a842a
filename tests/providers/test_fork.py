"""gunicorn forks: a provider that was made before answers after, in the child and in the parent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clouds import google_vision, rekognition

SCRIPT = """
import os, sys, json
from providers import registry
from tests.providers.conftest import ask, picture
provider = registry.build(sys.argv[1], json.loads(sys.argv[2]))
child = os.fork()
answer = ask(provider, picture(), "objects", timeout_s=20)
if child == 0:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("module", [rekognition, google_vision])
def test_a_provider_made_before_a_fork_answers_after_it(module):
    cloud = module.StandIn()
    name = module.__name__.rpartition(".")[2]
    command = [sys.executable, "-c", SCRIPT, name, json.dumps(cloud.environ)]
    subprocess.run(command, check=True, timeout=60, cwd=Path(__file__).parents[2])
    assert len(cloud.bill.lines) == 2
    cloud.close()
