"""Standard output of the command lines."""

from __future__ import annotations

import os
import sys


def forget_stdout() -> None:
    """Keep Python from reporting at its exit that standard output is closed (``| head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
