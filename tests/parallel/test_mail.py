"""Letters between ranks: answered, in any direction, of any size, with errors, and none left over."""

import itertools
import time

import numpy as np
import pytest

from mpiedge.errors import StoreError
from mpiedge.runtime import mail as mail_module
from mpiedge.runtime.mail import Mail


@pytest.fixture
def mail(world):
    """A mail of its own for each test."""
    return Mail(world)


def others(world):
    """All ranks, starting with the next one."""
    return [(world.rank + step) % world.size for step in range(world.size)]


@pytest.mark.parametrize("piece_bytes", [100, 1 << 20])
def test_everyone_asks_everyone(world, mail, monkeypatch, piece_bytes):
    """Ranks that ask one another at the same time all get their answers, in one letter or in pieces."""
    monkeypatch.setattr(mail_module, "PIECE_BYTES", piece_bytes)
    mail.handle("double", lambda source, message: {"twice": 2 * message["x"], "from": world.rank, "to": source})
    for _ in range(3):
        for other in others(world):
            answer = mail.request(other, "double", {"x": np.arange(3000) + world.rank})
            assert np.array_equal(answer["twice"], 2 * (np.arange(3000) + world.rank))
            assert (answer["from"], answer["to"]) == (other, world.rank)
    mail.gather_counts()


def test_errors_are_raised_where_they_were_asked_for(world, mail):
    """A named error of a handler reaches the rank that asked, as itself."""

    def refuse(source, message):
        raise StoreError("part-3.h5", "it is missing", "Rerun")

    mail.handle("read", refuse)
    for other in others(world):
        with pytest.raises(StoreError, match=r"part-3.h5: it is missing. Rerun"):
            mail.request(other, "read")
    mail.gather_counts()


def test_letters_are_counted_and_none_is_left(world, mail):
    """After gather_counts every letter sent has been handled, however late its receiver polls."""
    arrived = []
    mail.handle("note", lambda source, message: arrived.append((source, message)))
    for number, other in itertools.product(range(20), others(world)):
        mail.send(other, "note", number)
    if world.rank == 0:
        time.sleep(0.05)
    table = mail.gather_counts(world.rank)
    assert sorted(arrived) == [(source, number) for source in range(world.size) for number in range(20)]
    assert table[:, 0].sum() == table[:, 1].sum() == 20 * world.size * (world.size - 1)
    assert table[:, 2].tolist() == list(range(world.size))


def test_a_rank_that_waits_in_a_collective_answers(world, mail):
    """Rank 0 serves while it waits for the others, so reading through it needs no agreement on when."""
    mail.handle("add", lambda source, message: message + 1)
    if world.rank:
        assert mail.request(0, "add", 41) == 42
    world.barrier()
    assert world.allgather(world.rank) == list(range(world.size))
