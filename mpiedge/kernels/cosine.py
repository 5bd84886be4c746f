"""Cosine of character-gram TF-IDF vectors in whole numbers: counting, vectors, pairs and top-k search, with oracles."""

import ctypes
import heapq
from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import native

GRAMS, WORD_PAIRS, WHOLE_VALUES, VALUE_PAIRS = 1, 2, 4, 8
MOST_APART = 3  # columns between two whose values make a pair, at most
ONE = 32768  # a weight of 1
UNIT = 1 << 30  # a cosine of 1
TF_WEIGHT = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, 64))])
WORD = (1 << 64) - 1
UNUSED, LONE = -1, -2  # grams that are not in use; those of one document, which only make it longer
PIECE = 1 << 16


@dataclass(frozen=True)
class Texts:
    """Values as one buffer: value v is the UTF-8 text[offsets[v]:offsets[v + 1]], words parted by single blanks."""

    text: np.ndarray  # uint8
    offsets: np.ndarray  # int64, values + 1


@dataclass(frozen=True)
class Grams:
    """How documents become vectors.

    size: characters per gram; bits: grams are hashed to 2^bits numbers; features: GRAMS, WORD_PAIRS, WHOLE_VALUES and
    VALUE_PAIRS (of columns near each other) added up; number: int32 (2^bits,) gram -> place among those in use, UNUSED
    or LONE; idf: float32 and frequency: int32 by place; idf has one more, of those that are LONE.
    """

    size: int
    bits: int
    features: int
    number: np.ndarray
    idf: np.ndarray
    frequency: np.ndarray

    @property
    def in_use(self) -> int:
        """How many grams are in use."""
        return len(self.frequency)


def weigh_grams(frequency: np.ndarray, documents: int, size: int, bits: int, features: int, least: int = 0,
                most: float = np.inf, lone: float = 0.0) -> Grams:
    """Local: Grams from document frequencies (2^bits,): idf 1 + ln((1 + N) / (1 + df)) of grams in least..most.

    lone: how much of the idf of grams of one document counts in its length (with least 2), so that what two documents
    share is compared with what each of them says alone."""
    number, frequency = number_grams(frequency, max(least, 1), most, lone > 0)
    idf = np.empty(len(frequency) + 1, np.float32)
    for start in range(0, len(frequency), PIECE):  # not at once: doubles of all take several times the room
        piece = frequency[start:start + PIECE]
        idf[start:start + len(piece)] = 1.0 + np.log((1 + documents) / (1 + piece))
    idf[-1] = lone * (1.0 + np.log((1 + documents) / 2))
    return Grams(size, bits, features, number, idf, frequency)


def number_grams(frequency: np.ndarray, least: int, most: float, lone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Local: `Grams.number` and `Grams.frequency` of document frequencies (2^bits,).

    lone: whether grams of one document that are not in use are LONE."""
    if _library is None:
        return number_grams_plain(frequency, least, most, lone)
    frequency, number = np.ascontiguousarray(frequency, np.int32), np.empty(len(frequency), np.int32)
    kept = np.empty(len(frequency), np.int32)  # pages that are not filled take no memory
    in_use = _library.mpiedge_cosine_number(_address(frequency), len(frequency), least, most, lone, _address(number),
                                            _address(kept))
    return number, kept[:in_use].copy()


def number_grams_plain(frequency: np.ndarray, least: int, most: float, lone: bool) -> tuple[np.ndarray, np.ndarray]:
    """Local: `number_grams` by numpy."""
    in_use = (frequency >= least) & (frequency <= most)
    number = np.cumsum(in_use, dtype=np.int32)
    number -= 1
    number[~in_use] = UNUSED
    if lone:
        number[(frequency == 1) & ~in_use] = LONE
    return number, frequency[in_use]


def _declare(library):
    size, number, narrow = ctypes.c_int64, ctypes.c_int, ctypes.c_int32
    address = ctypes.c_void_p
    documents = [address, address, address, size, size, number, number, number]
    library.mpiedge_cosine_count.restype = number
    library.mpiedge_cosine_count.argtypes = [*documents, address]
    library.mpiedge_cosine_number.restype = size
    library.mpiedge_cosine_number.argtypes = [address, size, size, ctypes.c_double, number, address, address]
    library.mpiedge_cosine_vectors.restype = size
    library.mpiedge_cosine_vectors.argtypes = [*documents, address, address, narrow, address, address, size, size, size,
                                               address, address, address]
    library.mpiedge_cosine_scales.restype = number
    library.mpiedge_cosine_scales.argtypes = [*documents, address, address, narrow, address, address]
    library.mpiedge_cosine_pairs.restype = number
    library.mpiedge_cosine_pairs.argtypes = [address, address, address, address, size, size, number, number, number,
                                             address, address, narrow, address, address, address]
    library.mpiedge_cosine_dots.restype = None
    library.mpiedge_cosine_dots.argtypes = [address, address, address, address, address, size, address, address]
    library.mpiedge_cosine_search.restype = size
    library.mpiedge_cosine_search.argtypes = [address, address, address, address, size, address, address, size, size,
                                              size, size, address, address, address, size, size, ctypes.c_int32,
                                              address, address, address]
    library.mpiedge_cosine_postings.restype = None
    library.mpiedge_cosine_postings.argtypes = [address, address, address, size, address, address, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def _address(array):
    return None if array is None else array.ctypes.data


def _values(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.int32)


def count(texts: Texts, values, size: int, bits: int, features: int, frequency: np.ndarray) -> None:
    """Local: frequency[gram] += documents that hold the gram. values: (documents, width) value numbers, -1 none."""
    values = _values(values)
    if _library is None:
        for document in values:
            for gram in _bag(texts, document, size, bits, features):
                frequency[gram] += 1
    elif _library.mpiedge_cosine_count(_address(texts.text), _address(texts.offsets), _address(values), *values.shape,
                                       size, bits, features, _address(frequency)):
        raise MemoryError("counting grams")


def scales(texts: Texts, values, grams: Grams) -> np.ndarray:
    """Local: what makes each document's (documents, width) weights of length 1, float64; 0 without grams in use."""
    values = _values(values)
    if _library is None:
        return np.array([_scaled(_bag(texts, document, grams.size, grams.bits, grams.features), grams)[1]
                         for document in values], np.float64)
    result = np.empty(len(values))
    if _library.mpiedge_cosine_scales(_address(texts.text), _address(texts.offsets), _address(values), *values.shape,
                                      grams.size, grams.bits, grams.features, _address(grams.number),
                                      _address(grams.idf), grams.in_use, _address(TF_WEIGHT), _address(result)):
        raise MemoryError("measuring documents")
    return result


def pairs(texts: Texts, a, b, grams: Grams, scales_of_b: np.ndarray | None = None) -> np.ndarray:
    """Local: cosines (int32, UNIT = 1) of documents a[p] and b[p], each (pairs, width) value numbers.

    Runs of equal rows in `a` are cheaper, and so is a known `scales` of b.
    """
    a, b = _values(a), _values(b)
    cosines = np.zeros(len(a), np.int32)
    if _library is None:
        return pairs_plain(texts, a, b, grams)
    known = np.ascontiguousarray(scales(texts, b, grams) if scales_of_b is None else scales_of_b, np.float64)
    if _library.mpiedge_cosine_pairs(_address(texts.text), _address(texts.offsets), _address(a), _address(b), *a.shape,
                                     grams.size, grams.bits, grams.features, _address(grams.number),
                                     _address(grams.idf), grams.in_use, _address(TF_WEIGHT), _address(known),
                                     _address(cosines)):
        raise MemoryError("comparing documents")
    return cosines


def pairs_plain(texts: Texts, a, b, grams: Grams) -> np.ndarray:
    """Local: `pairs` in plain Python."""
    cosines = np.zeros(len(a), np.int32)
    for p in range(len(a)):
        left, right = (_weighed(_bag(texts, side[p], grams.size, grams.bits, grams.features), grams)
                       for side in (a, b))
        cosines[p] = sum(weight * left.get(gram, 0) for gram, weight in right.items())
    return cosines


def dots(rows, a: np.ndarray, b: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Local: cosines (int32, UNIT = 1) of the sparse rows a[p] and b[p], as `pairs` finds them for their documents.

    dense: uint16 zeros, one for each gram, zeros again afterwards. Runs of equal rows in `a` are cheaper.
    """
    indptr, row_grams, row_weights = rows
    if _library is None:
        return dots_plain(rows, a, b)
    a, b = np.ascontiguousarray(a, np.int64), np.ascontiguousarray(b, np.int64)
    cosines = np.empty(len(a), np.int32)
    _library.mpiedge_cosine_dots(_address(indptr), _address(row_grams), _address(row_weights), _address(a), _address(b),
                                 len(a), _address(dense), _address(cosines))
    return cosines


def pairs_among(texts: Texts, values, left: np.ndarray, right: np.ndarray, grams: Grams) -> np.ndarray:
    """Local: cosines (int32, UNIT = 1) of documents values[left[p]] and values[right[p]], as `pairs` finds them; the
    vector of each document is made once, and all of them are held."""
    used, place = np.unique(np.append(left, right), return_inverse=True)
    rows = vectors(texts, values[used], grams)
    return dots(rows, place[:len(left)], place[len(left):], np.zeros(grams.in_use, np.uint16))


def dots_plain(rows, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: `dots` in plain Python."""
    indptr, row_grams, row_weights = rows
    cosines = np.zeros(len(a), np.int32)
    for p in range(len(a)):
        left, right = (dict(zip(row_grams[here].tolist(), row_weights[here].tolist()))
                       for here in (slice(indptr[row], indptr[row + 1]) for row in (a[p], b[p])))
        cosines[p] = sum(weight * left.get(gram, 0) for gram, weight in right.items())
    return cosines


def vectors(texts: Texts, values, grams: Grams, budget: int = 0, least: int = 4):
    """Local: sparse rows (indptr int64, gram numbers uint32, weights uint16) of documents (documents, width).

    With a budget only the rarest grams of each document, until their frequencies add up to it, but at least `least`.
    """
    values = _values(values)
    if _library is None:
        return vectors_plain(texts, values, grams, budget, least)
    filled = values[values >= 0]
    room = int(2 * (texts.offsets[filled + 1] - texts.offsets[filled]).sum() + 4 * len(filled) + 4)
    indptr = np.zeros(len(values) + 1, np.int64)
    found, weights = np.empty(room, np.uint32), np.empty(room, np.uint16)
    entries = _library.mpiedge_cosine_vectors(
        _address(texts.text), _address(texts.offsets), _address(values), *values.shape, grams.size, grams.bits,
        grams.features, _address(grams.number), _address(grams.idf), grams.in_use, _address(TF_WEIGHT),
        _address(grams.frequency), budget, least, room, _address(indptr), _address(found), _address(weights))
    if entries < 0:
        raise MemoryError("making vectors")
    return indptr, found[:entries].copy(), weights[:entries].copy()


def vectors_plain(texts: Texts, values, grams: Grams, budget: int = 0, least: int = 4):
    """Local: `vectors` in plain Python (entries of a row may stand in another order)."""
    indptr, found, weights = [0], [], []
    for document in values:
        row = {gram: weight for gram, weight in
               _weighed(_bag(texts, document, grams.size, grams.bits, grams.features), grams).items() if weight}
        order = list(row)
        if budget:
            order.sort(key=lambda gram: (grams.frequency[grams.number[gram]], gram))
            spent = np.cumsum([int(grams.frequency[grams.number[gram]]) for gram in order])
            order = [gram for k, gram in enumerate(order) if spent[k] <= budget or k < least]
        found += [grams.number[gram] for gram in order]
        weights += [row[gram] for gram in order]
        indptr.append(len(found))
    return np.array(indptr, np.int64), np.array(found, np.uint32), np.array(weights, np.uint16)


class Index:
    """Postings of documents first.., in blocks of `block` documents: by block, then gram, then document."""

    def __init__(self, grams: int, block: int, first: int, documents: int, entries: int, make=np.empty):
        """Local: an index of documents first..first + documents without any postings yet.

        grams: how many are in use; entries: postings of all documents; make: makes its arrays (shape, dtype).
        """
        if block > 65536:
            raise ValueError(f"blocks of {block} documents: at most 65,536")
        self.block, self.grams, self.first, self.documents = block, grams, first, documents
        self.starts = make((-(-documents // block), grams + 1), np.uint32)
        self.posting_document = make((entries,), np.uint16)
        self.posting_weight = make((entries,), np.uint16)

    def fill(self, number: int, rows, base: int) -> None:
        """Local: the postings of a block's documents (sparse rows), `base` of which are those of blocks before."""
        indptr, row_grams, row_weights = rows
        starts, here = self.starts[number], slice(base, base + len(row_grams))
        starts[0] = 0
        starts[1:] = np.cumsum(np.bincount(row_grams, minlength=self.grams))
        _postings(indptr, row_grams, row_weights, starts[:-1].copy(), self.posting_document[here],
                  self.posting_weight[here])
        starts += np.uint32(base)

    def search(self, rows, number, least: int, most: int, floor: int, query_source=None, source=None):
        """Local: the best documents for each query (sparse row).

        number: int64 (queries,) the query's own document number (never returned) or -1; source: uint8 per document of
        the whole table, query_source per query: then only documents of another source count. Returns (counts int32,
        documents int32, scores int32): those with score > floor, best first, ties by number; as many as reach half
        the best, but between `least` and `most`.
        """
        indptr, row_grams, row_weights = rows
        queries = len(indptr) - 1
        if _library is None:
            return self._search_plain(rows, number, least, most, floor, query_source, source)
        counts = np.zeros(queries, np.int32)
        found, scores = np.empty(queries * most, np.int32), np.empty(queries * most, np.int32)
        number = np.ascontiguousarray(number, np.int64)
        written = _library.mpiedge_cosine_search(
            _address(indptr), _address(row_grams), _address(row_weights), _address(number), queries,
            _address(query_source), _address(source), self.documents, self.first, self.block, self.grams,
            _address(self.starts), _address(self.posting_document), _address(self.posting_weight), least, most, floor,
            _address(counts), _address(found), _address(scores))
        if written < 0:
            raise MemoryError("searching the index")
        return counts, found[:written].copy(), scores[:written].copy()

    def _search_plain(self, rows, number, least, most, floor, query_source, source):
        indptr, row_grams, row_weights = rows
        counts, found, scores = [], [], []
        for q in range(len(indptr) - 1):
            pool = []
            for b in range(-(-self.documents // self.block)):
                start = self.starts[b]
                total = np.zeros(self.block, np.int64)
                for e in range(indptr[q], indptr[q + 1]):
                    postings = slice(start[row_grams[e]], start[row_grams[e] + 1])
                    total[self.posting_document[postings]] += self.posting_weight[postings] * np.int64(row_weights[e])
                hits = np.flatnonzero(total > floor)
                pool += zip((-total[hits]).tolist(), (self.first + b * self.block + hits).tolist())
            best = heapq.nsmallest(most, (hit for hit in pool if hit[1] != number[q] and (
                source is None or source[hit[1]] != query_source[q])))
            kept = [hit for k, hit in enumerate(best) if k < least or 2 * hit[0] <= best[0][0]]
            counts.append(len(kept))
            found += [hit[1] for hit in kept]
            scores += [-hit[0] for hit in kept]
        return np.array(counts, np.int32), np.array(found, np.int32), np.array(scores, np.int32)


def _postings(indptr, row_grams, row_weights, start, position, weight) -> None:
    if _library is None:
        order = np.argsort(row_grams, kind="stable")
        position[:] = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[order]
        weight[:] = row_weights[order]
        return
    _library.mpiedge_cosine_postings(_address(indptr), _address(row_grams), _address(row_weights), len(indptr) - 1,
                                     _address(start), _address(position), _address(weight))


# ---- the plain version of a document's vector ------------------------------------------------------------------------


def _chain(hash: int, symbol: int) -> int:
    return (hash + symbol + 1) * 0x9E3779B97F4A7C15 & WORD


def _stir(hash: int) -> int:
    for _ in range(2):
        hash ^= hash >> 32
        hash = hash * 0xD6E8FEB86659FD93 & WORD
    return hash


def _gram(hash: int, bits: int) -> int:
    return _stir(hash) >> (64 - bits)


def _chained(symbols: str, start: int = 0) -> int:
    for symbol in symbols:
        start = _chain(start, ord(symbol))
    return start


def _bag(texts: Texts, document, size: int, bits: int, features: int) -> dict[int, int]:
    """Term frequencies of a document, in order of first appearance."""
    bag: dict[int, int] = {}

    def add(hash: int) -> None:
        gram = _gram(hash, bits)
        bag[gram] = bag.get(gram, 0) + 1

    wholes: list[int] = []  # the values of the columns before, 0 where there is none
    for value in document:
        if value < 0:
            wholes.append(0)
            continue
        text = texts.text[texts.offsets[value]:texts.offsets[value + 1]].tobytes().decode("utf-8", "surrogatepass")
        before = 0
        for word in text.split(" "):
            if not word:
                continue
            padded = f" {word} "
            if features & GRAMS:
                for start in range(max(len(padded) - size, 0) + 1):
                    add(_chained(padded[start:start + size]))
            hashed = _chained(word, 1)
            if features & WORD_PAIRS and before:
                add((before * 31 + hashed) & WORD)
            before = hashed
        wholes.append(_chained(text, 2))
        if features & WHOLE_VALUES:
            add(wholes[-1])
        for whole in wholes[-2:-2 - MOST_APART:-1] if features & VALUE_PAIRS else ():
            if whole:
                add((_stir(whole) + wholes[-1]) & WORD)
    return bag


def _scaled(bag: dict[int, int], grams: Grams) -> tuple[dict[int, float], float]:
    """Raw weights and what makes them of length ONE, summed in order of first appearance like the compiled version."""
    raw = {gram: TF_WEIGHT[min(tf, 63)] * float(grams.idf[grams.number[gram]]) if grams.number[gram] >= 0 else 0.0
           for gram, tf in bag.items()}
    lone = {gram: TF_WEIGHT[min(tf, 63)] * float(grams.idf[-1]) for gram, tf in bag.items()
            if grams.number[gram] == LONE}
    square = 0.0
    for gram, weight in raw.items():
        weight = lone.get(gram, weight)
        square += weight * weight
    return raw, ONE / np.sqrt(square) if square > 0 else 0.0


def _weighed(bag: dict[int, int], grams: Grams) -> dict[int, int]:
    """Whole-number weights of length ONE."""
    raw, scale = _scaled(bag, grams)
    return {gram: int(weight * scale + 0.5) for gram, weight in raw.items()}
