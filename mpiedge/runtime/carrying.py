"""What calls that carry messages cost beside waiting: packing, copying and unpacking."""

import functools
import time
from dataclasses import dataclass


@dataclass
class Carried:
    """Seconds in such calls without those of waiting, and their processor time; under_way: a call is."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    under_way: bool = False


def carries(call):
    """A method of World whose cost goes to `World.carried`; calls that it makes itself count once."""

    @functools.wraps(call)
    def timed(world, *args, **options):
        if world.carried.under_way:
            return call(world, *args, **options)
        world.carried.under_way = True
        start, cpu, waited = time.perf_counter(), time.process_time(), world.wait_s
        try:
            return call(world, *args, **options)
        finally:
            world.carried.under_way = False
            world.carried.wall_s += time.perf_counter() - start - (world.wait_s - waited)
            world.carried.cpu_s += time.process_time() - cpu

    return timed
