"""What killed jobs left behind is removed, what running ones use is not."""

import mmap
import os
import shutil
import subprocess
import time
from pathlib import Path

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


def test_session_folders_of_ended_launchers_are_removed_once_they_are_old(tmp_path):
    """Those whose process is gone or another program go, and empty ones of programs that had no launcher; that of a
    launcher at work stays, as do young ones, full ones of programs without a launcher, and those of other users."""
    shutil.copy("/bin/sleep", tmp_path / "prterun")
    user = os.getuid()
    with subprocess.Popen(["sleep", "60"]) as other, subprocess.Popen([tmp_path / "prterun", "60"]) as launcher:
        while Path(f"/proc/{launcher.pid}/comm").read_text().strip() != "prterun":
            time.sleep(.01)  # the name of a process changes after its program has begun
        stays = [f"ompi.{launcher.pid}", "ompi.4194999", "ompi.1x", f"ompi.h.{user}/jf.0/5",
                 f"ompi.h.{user + 1}/jf.0/3"]
        goes = ["ompi.4194998", f"ompi.{other.pid}", f"ompi.h.{user}/jf.0/3"]
        for name in (*goes, *stays, f"ompi.h.{user}/jf.0/5/0", "ompi.4194998/1"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            if name != "ompi.4194999":
                os.utime(tmp_path / name, (1, 1))
        os.utime(tmp_path / "ompi.4194998", (1, 1))
        os.utime(tmp_path / f"ompi.h.{user}/jf.0/5", (1, 1))
        assert [path.name for path in leftovers.sessions(tmp_path)] == sorted(goes[:2])
        assert leftovers.sweep_sessions(tmp_path) == len(goes)
        assert not any((tmp_path / name).exists() for name in goes)
        assert all((tmp_path / name).exists() for name in stays)
        for process in (other, launcher):
            process.kill()
