"""Rules between columns as a person or mpiedge-profile wrote them into a file."""

import json
import sys

from mpiedge.errors import InputError


def read_rules(path: str) -> list[dict]:
    """Local: the rules of a file: fds.jsonl as mpiedge-profile writes it, or TOML with [[rule]] lhs and rhs.

    Raises InputError for a file that cannot be read or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = ([json.loads(line) for line in text.splitlines() if line.strip()] if path.endswith(".jsonl")
                 else load_toml(text).get("rule", []))
        return [{**rule, "lhs": [rule["lhs"]] if isinstance(rule["lhs"], str) else list(rule["lhs"]),
                 "rhs": str(rule["rhs"])} for rule in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"holds no rules ({str(error)[:80]})",
                         "Give fds.jsonl of mpiedge-profile, or TOML with [[rule]] lhs = [...] rhs = ...") from error


def load_toml(text: str) -> dict:
    """Local: a TOML text as a dictionary."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
