"""Real memory limits for tests: one control group per rank, version 1 or 2."""

import contextlib
import os
import secrets
from pathlib import Path

import pytest

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_limit(limit_bytes: int, ranks: int):
    """Yields the words to put before a program under mpirun so that each rank lives in a group of `limit_bytes`.

    Skips the test, with the reason, where groups cannot be made.
    """
    version_1 = (V1 / "memory.limit_in_bytes").exists()
    root = V1 if version_1 else V2
    name = "memory.limit_in_bytes" if version_1 else "memory.max"
    token = secrets.token_hex(4)
    groups = [root / f"mpiedge-test-{token}-{rank}" for rank in range(ranks)]
    try:
        for group in groups:
            group.mkdir()
            (group / name).write_text(str(limit_bytes))
            if version_1 and (group / "memory.memsw.limit_in_bytes").exists():
                (group / "memory.memsw.limit_in_bytes").write_text(str(limit_bytes))
    except OSError as error:
        for group in groups:
            if group.exists():
                group.rmdir()
        pytest.skip(f"no memory control group can be made here: {error}")
    prefix = str(groups[0])[:-1]
    script = f'echo $$ > "{prefix}${{OMPI_COMM_WORLD_RANK:-${{PMI_RANK:-0}}}}/cgroup.procs" && exec "$@"'
    try:
        yield ["sh", "-c", script, "sh"]
    finally:
        for group in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), 9)
            with contextlib.suppress(OSError):
                group.rmdir()
