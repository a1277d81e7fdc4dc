"""Runs in the virtual machine: commands come in as lines of JSON on a virtio port, answers go back there.

Python's standard library only, of the machine's own Python.
"""

import json
import subprocess
import sys

with open(sys.argv[1], "r+b", buffering=0) as port:  # noqa: PTH123 - pathlib would seek in it
    port.write(b'{"ready": true}\n')
    waiting = b""
    while True:
        waiting += port.read(65536)
        line, newline, rest = waiting.partition(b"\n")
        if not newline:
            continue
        waiting = rest
        asked = json.loads(line)
        try:
            done = subprocess.run(
                asked["command"], capture_output=True, text=True, timeout=asked["limit_s"], check=False
            )
            answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
        except (OSError, subprocess.TimeoutExpired) as error:
            answer = {"code": -1, "out": "", "err": repr(error)}
        waiting_answer = memoryview(json.dumps(answer).encode() + b"\n")
        while waiting_answer:
            waiting_answer = waiting_answer[port.write(waiting_answer) :]
