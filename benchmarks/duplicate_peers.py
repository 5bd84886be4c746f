"""Splink and recordlinkage on one table, a process each: clusters, candidate pairs and what they took.

    python benchmarks/duplicate_peers.py splink|recordlinkage FAMILY TABLE.csv OUT.npz

FAMILY names the rules written for tables of this kind, by hand as these tools want it. OUT.npz: cluster (per row of the
table), a and b (candidate pairs, row numbers). Prints one line of JSON: seconds and memory of the whole process. The
tools are yardsticks beside mpiedge, never a part of it.
"""

import json
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks.measure import peak_rss_mb  # noqa: E402

SURE = 0.95  # probability above which Splink's pairs are joined
# columns compared as strings and for equality; blocking rules: pairs equal in one of these groups are candidates; the
# groups from which Splink learns m by EM
FAMILIES = {
    "febrl": {"strings": ["given_name", "surname", "address_1", "suburb"],
              "equal": ["date_of_birth", "soc_sec_id", "postcode", "state"],
              "blocks": [["soc_sec_id"], ["date_of_birth"], ["given_name", "surname"], ["surname", "postcode"],
                         ["given_name", "suburb"], ["address_1"]],
              "learn": [["date_of_birth"], ["surname", "postcode"]]},
    "fake": {"strings": ["first_name", "surname", "email"], "equal": ["dob", "city"],
             "blocks": [["first_name", "surname"], ["dob"], ["email"], ["surname", "city"], ["first_name", "city"]],
             "learn": [["dob"], ["first_name", "surname"]]},
    "hubs": {"strings": ["given", "family", "town", "occupation"], "equal": ["born", "birth_place", "postcode"],
             "blocks": [["born"], ["given", "family", "postcode"], ["given", "family", "birth_place"],
                        ["family", "postcode", "birth_place"]],
             "learn": [["born"], ["given", "family", "postcode"]]},
    "papers": {"strings": ["title", "authors", "venue"], "equal": ["year", "zip", "city"],
               "blocks": [["title"], ["authors", "year"], ["zip", "year"], ["published", "city"]],
               "learn": [["title"], ["authors", "year"]]},
}


def main():
    """Run one tool and print its figures."""
    tool, family, table, out = sys.argv[1:]
    import numpy as np
    import pandas as pd

    frame = pd.read_csv(table, dtype=str, keep_default_na=False).replace("", None)
    frame["row"] = np.arange(len(frame))
    rules = FAMILIES[family]
    cluster, a, b = (splink if tool == "splink" else recordlinkage)(frame, rules)
    figures = {"cpu_s": time.process_time(), "wall_s": time.perf_counter() - BEGAN, "rss_mb": peak_rss_mb(),
               "candidates": len(a)}
    np.savez(out, cluster=cluster, a=a, b=b)
    print(json.dumps(figures))


def splink(frame, rules):
    """Fellegi-Sunter in DuckDB: u from random pairs, m by EM in blocks, clusters of pairs above SURE."""
    import logging

    import splink.comparison_library as compare
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.getLogger("splink").setLevel(logging.ERROR)
    settings = SettingsCreator(
        link_type="dedupe_only", unique_id_column_name="row", retain_matching_columns=False,
        blocking_rules_to_generate_predictions=[block_on(*block) for block in rules["blocks"]],
        comparisons=[*(compare.JaroWinklerAtThresholds(column, [0.9, 0.8]) for column in rules["strings"]),
                     *(compare.ExactMatch(column) for column in rules["equal"])])
    api = DuckDBAPI()
    try:
        linker = Linker(api.register(frame), settings)
    except AttributeError:  # before Splink 5
        linker = Linker(frame, settings, api)
    train = linker.training
    train.estimate_probability_two_random_records_match([block_on(*rules["learn"][0])], recall=0.7)
    train.estimate_u_using_random_sampling(max_pairs=1e6)
    for block in rules["learn"]:
        train.estimate_parameters_using_expectation_maximisation(block_on(*block))
    pairs = linker.inference.predict()
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=SURE)
    found = found.as_pandas_dataframe().sort_values("row")
    pairs = pairs.as_pandas_dataframe()
    return found["cluster_id"].to_numpy(), pairs["row_l"].to_numpy(), pairs["row_r"].to_numpy()


def recordlinkage(frame, rules):
    """Blocking, Jaro-Winkler and equality as yes or no, ECM; clusters of the pairs it takes for links."""
    import numpy as np
    import recordlinkage as toolkit
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    index = toolkit.Index()
    for block in rules["blocks"]:
        index.block(block)
    pairs = index.index(frame)
    compare = toolkit.Compare()
    for column in rules["strings"]:
        compare.string(column, column, method="jarowinkler", threshold=0.85, label=column)
    for column in rules["equal"]:
        compare.exact(column, column, label=column)
    links = toolkit.ECMClassifier().fit_predict(compare.compute(pairs, frame).astype(int))
    left, right = links.get_level_values(0).to_numpy(), links.get_level_values(1).to_numpy()
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(frame),) * 2)
    return (connected_components(graph, directed=False)[1], pairs.get_level_values(0).to_numpy(),
            pairs.get_level_values(1).to_numpy())


if __name__ == "__main__":
    BEGAN = time.perf_counter()
    main()
