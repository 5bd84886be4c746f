"""Memory and cores that a rank may use."""

import mmap
import os
import resource
import subprocess
import sys

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.errors import UsageError
from mpiedge.profiling.room import Room
from mpiedge.runtime import resources


@pytest.mark.parametrize(("text", "size"), [
    ("300MB", 300_000_000), ("300 mb", 300_000_000), ("1.5G", 1_500_000_000), ("512MiB", 512 << 20), ("2k", 2000),
    ("1GiB", 1 << 30), (".5T", 500_000_000_000), ("4096", 4096), ("100B", 100), ("50%", 500), ("12.5 %", 125),
])  # fmt: skip
def test_sizes(text, size):
    """Sizes as people write them; a percentage is of the whole given."""
    assert resources.parse_size(text, 1000) == size


@pytest.mark.parametrize("text", ["", "MB", "-3MB", "3XB", "1e9", "0", "0%", "3 4", "nan"])
def test_sizes_that_are_none(text):
    """Anything else is a usage error that says what to write."""
    with pytest.raises(UsageError, match="300MB"):
        resources.parse_size(text)


@given(st.integers(1, 10**15))
def test_format_is_read_back(size):
    """A printed size can be given back to --memory and means about the same."""
    assert abs(resources.parse_size(resources.format_size(size)) - size) <= 0.06 * size


def test_a_percentage_is_of_the_available_memory():
    """50% without a whole is half of what is available now."""
    half, free = resources.parse_size("50%"), psutil.virtual_memory().available
    assert 0 < half <= 0.6 * free


def group(root, lines: str, files: dict[str, dict[str, object]]):
    """A folder that looks like /proc and /sys of a host with control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for folder, values in files.items():
        path = root / "sys/fs/cgroup" / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (path / name).write_text(f"{value}\n")
    return root


def test_group_limits_version_1(tmp_path):
    """Version 1: limit minus use, where page cache that can be dropped does not count as use."""
    files = {
        "memory": {"memory.limit_in_bytes": 2**63 - 4096, "memory.usage_in_bytes": 7},
        "memory/box": {"memory.limit_in_bytes": 3000, "memory.usage_in_bytes": 2500,
                       "memory.stat": "cache 1\ntotal_inactive_file 700"},
        "memory/box/job": {"memory.limit_in_bytes": 9000, "memory.usage_in_bytes": 100},
    }  # fmt: skip
    root = group(tmp_path, "3:cpu:/\n4:memory:/box/job\n0::/\n", files)
    assert resources.available_bytes(files=root) == 3000 - 1800
    assert resources.available_bytes(3, files=root) == 400


def test_group_limits_version_2(tmp_path):
    """Version 2: the tightest limit of the group and its parents; `max` is none."""
    files = {
        "user": {"memory.max": 5000, "memory.current": 1000, "memory.stat": "anon 5\ninactive_file 0"},
        "user/job": {"memory.max": "max", "memory.current": 900},
    }
    root = group(tmp_path, "0::/user/job\n", files)
    assert resources.available_bytes(files=root) == 4000


def test_no_groups_at_all(tmp_path):
    """Without control groups the host's available memory is shared."""
    free = psutil.virtual_memory().available
    assert abs(resources.available_bytes(2, files=tmp_path) - free / 2) < 0.2 * free


def test_peak_is_this_programs_own():
    """The peak follows what was allocated, and does not include that of the process that started this one."""
    hoard = np.ones(40_000_000 // 8)
    assert resources.peak_rss_bytes() >= resources.current_rss_bytes() - 1e6
    assert resources.current_rss_bytes() > hoard.nbytes
    script = "from mpiedge.runtime.resources import peak_rss_bytes as p; a = p(); x = b'1' * 30_000_000; print(a, p())"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    before, after = map(int, output.split())
    assert after - before > 25_000_000
    assert before < resources.current_rss_bytes()


def test_shared_memory_counts_once_on_a_host():
    """Of memory that ranks share each counts its part."""
    shared = mmap.mmap(-1, 40_000_000)
    np.frombuffer(shared, np.uint8)[:: mmap.PAGESIZE] = 1
    alone, together = resources.current_rss_bytes(), resources.current_rss_bytes(4)
    assert abs(alone - together - 30_000_000) < 3_000_000


def test_threads_of_a_rank(monkeypatch):
    """--threads wins over OMP_NUM_THREADS, which wins over the even share of the cores; libraries are told."""
    cores = len(os.sched_getaffinity(0))
    for name in resources.THREAD_VARIABLES:
        monkeypatch.setenv(name, "")
    assert resources.share_cores(1) == cores
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert resources.share_cores(10 * cores) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert resources.share_cores(1) == 3
    assert resources.share_cores(1, threads=5) == 5
    assert os.environ["OPENBLAS_NUM_THREADS"] == "5"


def test_affinity_is_widened_under_a_launcher(mpirun):
    """A rank that mpirun bound to one core may use all cores the launcher may, unless told to stay."""
    script = (
        "import os; from mpiedge.runtime.resources import widen_affinity; before = os.sched_getaffinity(0); "
        "print(len(before), widen_affinity())"
    )
    done = mpirun(1, "--bind-to", "core", sys.executable, "-c", script)
    if done.returncode or done.stdout.split()[0] == str(len(os.sched_getaffinity(0))):
        pytest.skip("this launcher cannot bind ranks to a core here")
    before, after = map(int, done.stdout.split())
    assert after == len(os.sched_getaffinity(0))
    kept = mpirun(1, "--bind-to", "core", sys.executable, "-c", script, env={"MPIEDGE_AFFINITY": "keep"})
    assert kept.stdout.split() == [str(before), str(before)]


def test_swapped_bytes(tmp_path):
    """Pages moved to and from swap are counted together; a host that does not say has none."""
    assert resources.swapped_bytes(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("pgpgin 7\npswpin 2\npswpout 3\n")
    assert resources.swapped_bytes(tmp_path) == 5 * mmap.PAGESIZE


def test_more_mapped_files_than_a_shell_allows(tmp_path):
    """Lists of candidates in scratch are not bound by the soft limit of open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        place = Room(0, tmp_path)
        arrays = [place.empty(1 << 14, np.int64) for _ in range(100)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert sum(array.nbytes for array in arrays) == 100 << 17
