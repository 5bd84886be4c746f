"""Tables in which no two rows are one thing, though many look alike."""

from duplicate_tables import author_works, chain_branches, household_people, hub_people, product_variants
from table_parts import columns, one_each, real, without


@without
def people_once():
    """5,000 people, each once."""
    return columns(one_each("febrl4"), real("febrl4")[0][1:])


@without
def restaurants_once():
    """Restaurants, each once."""
    return one_each("restaurant")


@without
def products_once():
    """Products of one shop."""
    names, rows, _ = real("abt_buy")
    rows = [row for row in rows if row[0] == "a"]
    return columns((names, rows, list(range(len(rows)))), ["name", "description", "price"])


@without
def families_once():
    """Families, everybody once."""
    _, names, rows = household_people(61)
    return names, rows, list(range(len(rows)))


@without
def works_once():
    """Works of authors, each once."""
    _, names, rows = author_works(62)
    return names, rows, list(range(len(rows)))


@without
def branches_once():
    """Branches of chains, each once."""
    _, names, rows = chain_branches(63)
    return names, rows, list(range(len(rows)))


@without
def variants_once():
    """Products in variants, each once."""
    _, names, rows = product_variants(64)
    return names, rows, list(range(len(rows)))


@without
def hubs_once():
    """People of frequent names and places, each once."""
    _, names, rows = hub_people(5000, 65)
    return names, rows, list(range(len(rows)))
