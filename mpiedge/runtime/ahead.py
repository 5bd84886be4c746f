"""What is read from disk while something else is computed."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

END = object()


def ahead(items: Iterable) -> Iterator:
    """Local: yields `items`; a thread fetches the next one while this one is used. Fetching must not communicate."""
    items = iter(items)
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = pool.submit(next, items, END)
            yield item
            del item  # else it would be there beside the next two
