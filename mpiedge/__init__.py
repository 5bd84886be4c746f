"""mpiedge: clean, profile and learn from tables and graphs on small, unequal, old computers under MPI."""

__version__ = "0.1.0"
