"""Peak memory is that of the program that asks, whatever the one that started it had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bench

MIB = 2**20
ASK = """
import sys
sys.path.insert(0, {path!r})
from bench.memory import peak_memory
before = peak_memory()
held = bytearray(64 * 2**20)
held[::4096] = b"1" * len(held[::4096])
print(before, peak_memory())
"""


def test_what_a_program_holds_is_counted_and_what_its_parent_holds_is_not() -> None:
    held = bytearray(300 * MIB)
    held[::4096] = b"1" * len(held[::4096])
    source = ASK.format(path=str(Path(bench.__file__).parents[1]))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before < 200 * MIB
    assert 60 * MIB < after - before < 80 * MIB
