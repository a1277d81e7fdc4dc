"""What must never be written here is refused by the linter, in every room; ``make audit`` asks bandit too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DANGEROUS = {
    "a pickle is loaded": "import pickle\n\npickle.loads(b'')\n",
    "a part of pickle": "from pickle import loads\n\nloads(b'')\n",
    "marshal": "import marshal\n\nmarshal.loads(b'')\n",
    "shelve": "import shelve\n\nshelve.open('x')\n",
    "pickles of functions": "import cloudpickle\n\ncloudpickle.loads(b'')\n",
    "pickles of anything": "from dill import loads\n\nloads(b'')\n",
    "pickles of arrays": "import joblib\n\njoblib.load('x')\n",
    "arrays that are pickles": "import numpy as np\n\nnp.load('x', allow_pickle=True)\n",
    "YAML is loaded safely": "import yaml\n\nyaml.safe_load('')\n",
    "YAML is loaded": "import yaml\n\nyaml.load('', Loader=yaml.Loader)\n",
    "text is run": "eval(input())\n",
    "a program's text is run": "exec(input())\n",
    "a shell is asked": "import subprocess\n\nsubprocess.run(input(), shell=True, check=True)\n",
    "a shell is asked in the old way": "import os\n\nos.system(input())\n",
    "a shell's output is read": "import os\n\nos.popen(input())\n",
    "a shell is opened": "import subprocess\n\nsubprocess.Popen(input(), shell=True)\n",
    "a shell's output is asked for": "import subprocess\n\nsubprocess.getoutput(input())\n",
    "a shell beside the loop": "import asyncio\n\nasyncio.run(asyncio.create_subprocess_shell(input()))\n",
    "SQL is put together": "def f(c, name):\n    c.execute(f'SELECT * FROM t WHERE name = {name}')\n",
    "XML with entities": "import xml.etree.ElementTree as tree\n\ntree.parse('x')\n",
    "any certificate will do": "import httpx\n\nhttpx.get('https://x.example', verify=False, timeout=1)\n",
    "a temporary name is guessed": "import tempfile\n\ntempfile.mktemp()\n",
    "a weak hash for secrets": "import hashlib\n\nhashlib.md5(b'')\n",
}


@pytest.mark.parametrize("room", ["daemon", "drivers", "lowmaf", "web"])
def test_dangerous_code_is_refused_in_every_room(project: Path, tmp_path: Path, room: str) -> None:
    (tmp_path / room).mkdir()
    shutil.copy(project / "pyproject.toml", tmp_path)
    for number, (words, source) in enumerate(DANGEROUS.items()):
        (tmp_path / room / f"case_{number}.py").write_text(f'"""Dangerous: {words}."""\n\n{source}')
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", room]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    refused = {
        line.partition(":")[0]
        for line in ended.stdout.splitlines()
        if any(f": {code}" in line for code in ("S1", "S2", "S3", "S5", "S6", "TID251"))
    }
    assert refused == {f"{room}/case_{number}.py" for number in range(len(DANGEROUS))}, ended.stdout
