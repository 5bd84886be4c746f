"""Named errors: each is one line (what, why, what to do) and carries the exit code of its kind."""

import errno


class MpiedgeError(Exception):
    """An error a person can act on: `subject` (file, host or flag), `cause`, and the `remedy`.

    >>> str(InputError("papers.csv", "the file is empty", "Give a CSV with a header line"))
    'papers.csv: the file is empty. Give a CSV with a header line'
    """

    exit_code = 1
    everywhere = False  # True: every rank raises it, so one of them prints it

    def __init__(self, subject: str, cause: str, remedy: str = ""):
        self.subject, self.cause, self.remedy = str(subject), cause, remedy
        super().__init__(f"{subject}: {cause}." + (f" {remedy}" if remedy else ""))


class UsageError(MpiedgeError):
    """A flag or an argument that makes no sense."""

    exit_code = 2


class InputError(MpiedgeError):
    """Input that cannot be used: a file that is missing, unreadable, empty or not what it should be."""

    exit_code = 3


class StoreError(InputError):
    """A run folder that is incomplete, altered or damaged."""


class EnvironmentProblem(InputError):
    """A host that cannot do the work: no MPI, no space on disk, no permission."""


class MemoryPlanError(MpiedgeError):
    """Work that would not fit the memory budget."""

    exit_code = 4


class PoisonTask(MpiedgeError):
    """A task that has ended its rank again and again; everything else is done."""


class Stopped(MpiedgeError):
    """The run was asked to stop and its work is saved: run it again to go on."""

    exit_code = 75


_NO_ROOM = "Free space or choose another folder"
_REMEDIES = {errno.ENOSPC: _NO_ROOM, errno.EDQUOT: _NO_ROOM,
             errno.ENOENT: "Was it removed meanwhile? Run the same line again"}


def remedy_for(error: OSError) -> str:
    """What to do about an error of the system where nothing else is known; empty where nothing is."""
    return _REMEDIES.get(error.errno, "")
