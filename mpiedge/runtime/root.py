"""One rank acts for all: its answer, or its error, reaches every rank."""

from mpiedge import errors


def on_root(world, function):
    """Collective: rank 0 calls `function()`; every rank returns its JSON-able result or raises its error.

    An error raised here is marked `everywhere`, so that the command line prints it once.
    """
    message = None
    if world.is_root:
        try:
            message = {"result": function()}
        except errors.MpiedgeError as error:
            message = describe(error)
        except OSError as error:
            message = describe(errors.EnvironmentProblem(error.filename or world.host, error.strerror or str(error),
                                                         errors.remedy_for(error)))
    message = world.bcast(message)
    if "error" in message:
        raise rebuild(message)
    return message["result"]


def describe(error: errors.MpiedgeError) -> dict:
    """An error as a message."""
    return {"error": type(error).__name__, "subject": error.subject, "cause": error.cause, "remedy": error.remedy}


def rebuild(message: dict) -> errors.MpiedgeError:
    """The error of a message, known to be raised on every rank."""
    kind = getattr(errors, message["error"], errors.MpiedgeError)
    error = kind(message["subject"], message["cause"], message["remedy"])
    error.everywhere = True
    return error
