"""Shared memory of killed jobs is given back, that of running ones is not."""

import mmap
import os

from mpiedge.runtime import leftovers


def test_what_no_process_maps_is_removed_once_it_is_old(tmp_path):
    """Old segments go, but for those that a process maps; young ones and other files stay."""
    names = ("sm_segment.host.0.dead.0", "sm_segment.host.0.live.0", "sm_segment.host.0.young.0", "other")
    for name in names:
        (tmp_path / name).write_bytes(bytes(4096))
        if "young" not in name:
            os.utime(tmp_path / name, (1, 1))
    with open(tmp_path / names[1], "r+b") as file, mmap.mmap(file.fileno(), 4096):
        os.utime(tmp_path / names[1], (1, 1))
        assert leftovers.sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    assert leftovers.sweep(tmp_path) == 1 and leftovers.sweep(tmp_path / "none") == 0
