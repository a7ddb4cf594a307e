"""at_line.py TEXT TIMES OTHER COMMAND...: run COMMAND, and the shell command OTHER meanwhile.

OTHER runs when COMMAND has printed TEXT for the TIMES-th time. Ends as COMMAND does.
"""

from __future__ import annotations

import subprocess
import sys

text, times, other, *command = sys.argv[1:]
left = int(times)
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout
    for line in process.stdout:
        print(line, end="", flush=True)
        left -= text in line
        if left == 0 and text in line:
            subprocess.run(other, shell=True, check=True)
sys.exit(process.returncode)
