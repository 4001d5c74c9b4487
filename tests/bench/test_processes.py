import os
import subprocess
import sys

from bench.processes import CpuMeter, memory_bytes

BURN = "import time\nwhile time.process_time() < {}: pass\n"
PARENT_OF = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}])\ninput()\n"


def test_a_childs_time_counts_for_its_parent_after_its_end() -> None:
    code = PARENT_OF.format(BURN.format(0.3)) + "input()\n"
    with subprocess.Popen(
        [sys.executable, "-c", "input()\n" + code], stdin=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        meter = CpuMeter({"worker": parent.pid})
        parent.stdin.write("begin\nthe child has ended\n")  # the second line is read after it
        parent.stdin.flush()
        while (used := meter.read()["worker"]) < 0.25:
            assert parent.poll() is None
        parent.stdin.write("end\n")
    assert used < 10


def test_the_drivers_children_are_not_the_drivers_time() -> None:
    meter = CpuMeter({"client": os.getpid(), "all": os.getpid()})
    subprocess.run([sys.executable, "-c", BURN.format(0.5)], check=True)
    used = meter.read()
    assert used["all"] - used["client"] >= 0.4  # the clock ticks in hundredths


def test_memory_is_that_of_the_process_and_its_children() -> None:
    code = "x = bytearray(50_000_000)\nprint('there', flush=True)\ninput()\n"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_OF.format(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert memory_bytes(parent.pid) > 50_000_000
        parent.kill()  # and the child ends with its input
