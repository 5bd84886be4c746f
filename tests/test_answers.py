"""Answers of a person: read, binding, and choosing how a table is read."""

import csv

import numpy as np
import pytest
from tables import MemoryStage, MemoryTable, OneRank, people

from mpiedge.cleaning.answers import CERTAIN, Answers, read_answers
from mpiedge.cleaning.duplicates import find_duplicates
from mpiedge.errors import InputError


def answers_of(*triples) -> Answers:
    return Answers(*(np.array(column) for column in zip(*triples)))


def test_judge_and_bind():
    """Answered pairs get certain weights, others stay; what is said to differ is not joined through a third row."""
    answers = answers_of((0, 1, True), (1, 2, True), (0, 2, False))
    weight = np.zeros(4)
    answers.judge(weight, np.array([0, 1, 0, 3]), np.array([1, 2, 2, 4]))
    assert weight.tolist() == [CERTAIN, CERTAIN, -CERTAIN, 0]
    assert answers.bind(np.arange(3)).tolist() == [0, 0, 2]


def test_reading(tmp_path):
    """Blank answers and other tables are passed over; nonsense is refused with the line."""
    path = tmp_path / "review.csv"
    path.write_text("table,row_a,row_b,answer\nt,5,2,same\nt,1,3,\nu,1,3,no\n")
    assert read_answers(path, "t", False) == ([[2, 5]], [True])
    path.write_text("row_a,row_b,answer\n1,2,perhaps\n")
    with pytest.raises(InputError, match="line 2"):
        read_answers(path, "t", True)
    path.write_text("row_a,answer\n")
    with pytest.raises(InputError, match="row_b"):
        read_answers(path, "t", True)
    with pytest.raises(InputError):
        read_answers(tmp_path / "none.csv", "t", True)


def test_answers_bind():
    """A pair said to differ ends in two clusters and one said to be the same in one, whatever the weights say."""
    names, rows, entity = people(100, 1)
    table, place = MemoryTable(names, rows), {}
    for row, key in enumerate(entity):
        place.setdefault(key, []).append(row)
    known = answers_of((*sorted(place[0]), False), (*sorted((place[1][0], place[2][0])), True))
    found = find_duplicates(MemoryStage(OneRank()), table, answers=known)
    assert found.cluster_id[place[0][0]] != found.cluster_id[place[0][1]]
    assert found.cluster_id[place[1][0]] == found.cluster_id[place[2][0]]


def test_answers_choose_the_reading():
    """People whose number is replaced in most copies by another: asked about, and merged when the answer is same."""
    draw = np.random.default_rng(2)
    names, rows, entity = people(120, 1)
    rows = [[*row, f"model {draw.integers(10**5, 10**6)}"] for row in rows]
    before = find_duplicates(MemoryStage(OneRank()), MemoryTable([*names, "number"], rows))
    asked = [(int(a), int(b), entity[a] == entity[b]) for text, left, right in before.questions
             for a, b in zip(left, right)]
    assert asked
    after = find_duplicates(MemoryStage(OneRank()), MemoryTable([*names, "number"], rows), answers=answers_of(*asked))
    assert after.summary["answers"]["given"] == len(asked)
    assert all((after.cluster_id[a] == after.cluster_id[b]) == same for a, b, same in asked)


def test_review_and_labels_of_the_program(tmp_path, mpirun):
    """The program writes its questions, reads the answers back and heeds them."""
    names, rows, entity = people(120, 1)
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", *names], *([number, *row] for number, row in enumerate(rows))])
    done = mpirun(0, "mpiedge-clean", tmp_path / "t.csv", "--run", tmp_path / "run", "--review", "--id", "id")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/clean/review.csv").read_text().startswith("table,question,row_a,row_b,differs,answer\n")
    pair = sorted(row for row, key in enumerate(entity) if key == 0)
    (tmp_path / "answers.csv").write_text(f"row_a,row_b,answer\n{pair[0]},{pair[1]},different\n")
    done = mpirun(2, "mpiedge-clean", tmp_path / "t.csv", "--run", tmp_path / "run2", "--id", "id", "--labels",
                  tmp_path / "answers.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "run2/clean/t.clusters.csv", newline="") as file:
        cluster = [row["cluster_id"] for row in csv.DictReader(file)]
    assert cluster[pair[0]] != cluster[pair[1]]


def test_answers_move_the_cut():
    """Pairs said to be the same below the cut draw it down, one that differs above it is outvoted; without room to
    move, or without answers among the pairs, it stays."""
    weight = np.array([9.0, 7.5, 4.0, 3.0, 2.0, -1.0], np.float32)
    a, b = np.arange(6), np.arange(6) + 10
    said = Answers(a, b, np.array([True, False, True, True, False, False]), moving=True)
    assert said.moved_cut(8.0, weight, a, b) == 2.5
    assert said.moved_cut(2.1, weight, a, b) == 2.1
    assert said.moved_cut(8.0, weight, a + 20, b + 20) == 8.0
    assert Answers(a, b, said.same).moved_cut(8.0, weight, a, b) == 8.0
    kept = weight.copy()
    Answers(a, b, said.same, binding=False).judge(kept, a, b)
    assert (kept == weight).all()
