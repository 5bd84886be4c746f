/* Stripped partitions: the clusters of at least two rows that agree on a set of columns (Huhtala et al. 1999).
 *
 * rows: the row numbers cluster after cluster; starts[k]..starts[k + 1]: the positions of cluster k. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD 64             /* rows whose codes are fetched ahead of their use: they lie anywhere */

INLINE uint32_t code_at(const void *codes, int itemsize, int64_t row) {
    if (itemsize == 1) return ((const uint8_t *)codes)[row];
    if (itemsize == 2) return ((const uint16_t *)codes)[row];
    return ((const uint32_t *)codes)[row];
}

/* Number the codes anew without gaps, in their order; returns how many there are. present: zeros, a bit per code;
 * before: as many numbers as `present` has words. */
int64_t partition_renumber(uint32_t *codes, int64_t n, uint64_t *present, uint32_t *before, int64_t words) {
    int64_t distinct = 0;
    for (int64_t i = 0; i < n; i++) present[codes[i] >> 6] |= 1ULL << (codes[i] & 63);
    for (int64_t w = 0; w < words; w++) before[w] = (uint32_t)distinct, distinct += __builtin_popcountll(present[w]);
    for (int64_t i = 0; i < n; i++) {
        uint64_t lower = present[codes[i] >> 6] & ((1ULL << (codes[i] & 63)) - 1);
        codes[i] = before[codes[i] >> 6] + (uint32_t)__builtin_popcountll(lower);
    }
    return distinct;
}

/* Bit j is set where row i + j of 64 has one of `count` codes from `first` on. Bytes of 0 and 1, so that compilers compare
 * many codes at once, are put together by eight: the product has byte k of them at bit 56 + k, and no carry gets there. */
INLINE uint64_t wanted_of(const void *codes, int itemsize, int64_t i, uint32_t first, uint32_t count) {
    uint8_t wanted[64];
    uint64_t bits = 0;
    if (itemsize == 1)
        for (int j = 0; j < 64; j++) wanted[j] = (uint8_t)(code_at(codes, 1, i + j) - first) <= (uint8_t)(count - 1);
    else if (itemsize == 2)
        for (int j = 0; j < 64; j++) wanted[j] = (uint16_t)(code_at(codes, 2, i + j) - first) <= (uint16_t)(count - 1);
    else
        for (int j = 0; j < 64; j++) wanted[j] = code_at(codes, 4, i + j) - first < count;
    for (int k = 0; k < 8; k++) {
        uint64_t eight;
        memcpy(&eight, wanted + 8 * k, 8);
        bits |= (eight * 0x0102040810204080u) >> 56 << 8 * k;
    }
    return bits;
}

INLINE int64_t select_as(const void *codes, int itemsize, int64_t n, uint32_t first, uint32_t count, int32_t *rows,
                         void *found) {
    int64_t kept = 0;
    for (int64_t start = 0; start < n; start += 64) {
        uint64_t wanted = 0;
        if (start + 64 <= n) wanted = wanted_of(codes, itemsize, start, first, count);
        else for (int64_t i = start; i < n; i++) wanted |= (uint64_t)(code_at(codes, itemsize, i) - first < count) << (i - start);
        for (; wanted; wanted &= wanted - 1, kept++) {
            int64_t row = start + __builtin_ctzll(wanted);
            uint32_t code = code_at(codes, itemsize, row) - first;
            rows[kept] = (int32_t)row;
            if (itemsize == 1) ((uint8_t *)found)[kept] = (uint8_t)code;
            else if (itemsize == 2) ((uint16_t *)found)[kept] = (uint16_t)code;
            else ((uint32_t *)found)[kept] = code;
        }
    }
    return kept;
}

/* The rows with one of `count` codes (at least one) from `first` on, and their codes less `first`, as wide as `codes`. */
PER_PROCESSOR int64_t partition_select(const void *codes, int32_t itemsize, int64_t n, uint32_t first, uint32_t count,
                                       int32_t *rows, void *found) {
    if (itemsize == 1) return select_as(codes, 1, n, first, count, rows, found);
    if (itemsize == 2) return select_as(codes, 2, n, first, count, rows, found);
    return select_as(codes, 4, n, first, count, rows, found);
}

INLINE int64_t single_as(const void *codes, int itemsize, int64_t n, int32_t *count, int64_t cardinality,
                         const int32_t *given, int32_t *rows, int32_t *starts) {
    int64_t clusters = 0;
    int32_t at = 0;
    for (int64_t c = 0; c < cardinality; c++) {
        int32_t size = count[c];
        count[c] = size > 1 ? at : -1;
        if (size > 1) starts[clusters++] = at, at += size;
    }
    starts[clusters] = at;
    for (int64_t i = 0; i < n; i++) {
        if (itemsize == 4) __builtin_prefetch(count + code_at(codes, itemsize, i + AHEAD < n ? i + AHEAD : i), 1);
        int32_t *to = count + code_at(codes, itemsize, i);
        if (*to >= 0) rows[(*to)++] = given ? given[i] : (int32_t)i;
    }
    return clusters;
}

/* The partition of one column from its counts (which it overwrites), clusters by code, rows in the order of `codes`: 0, 1,
 * 2, ... or as given. */
int64_t partition_single(const void *codes, int32_t itemsize, int64_t n, int32_t *count, int64_t cardinality,
                         const int32_t *given, int32_t *rows, int32_t *starts) {
    if (itemsize == 1) return single_as(codes, 1, n, count, cardinality, given, rows, starts);
    if (itemsize == 2) return single_as(codes, 2, n, count, cardinality, given, rows, starts);
    return single_as(codes, 4, n, count, cardinality, given, rows, starts);
}

INLINE void fetch(const void *codes, int itemsize, int64_t row) {
    __builtin_prefetch((const char *)codes + row * itemsize);
}

/* Where a row goes is decided without a branch, which nobody could foresee: of a cluster of n rows every one gets a place
 * among the next n of rows_out, those that agree with nobody at their end, where the next cluster takes it from them. */
INLINE int64_t refine_as(const int32_t *rows, const int32_t *starts, int64_t clusters, const void *codes, int itemsize,
                         int32_t *count, int32_t *touched, int32_t *row_codes, int32_t *rows_out, int32_t *starts_out,
                         int64_t *pairs) {
    const int64_t last = starts[clusters] - 1;
    int64_t out = 0, kept = 0, sum = 0;
    for (int64_t k = 0; k < clusters; k++) {
        const int32_t *row = rows + starts[k];
        int64_t n = starts[k + 1] - starts[k], known = last - starts[k], different = 0;
        if (n == 2) {
            fetch(codes, itemsize, row[AHEAD < known ? AHEAD : 0]);
            fetch(codes, itemsize, row[AHEAD < known ? AHEAD + 1 : 0]);
            int64_t equal = code_at(codes, itemsize, row[0]) == code_at(codes, itemsize, row[1]);
            starts_out[out] = (int32_t)kept;
            rows_out[kept] = row[0], rows_out[kept + 1] = row[1];
            out += equal, kept += 2 * equal, sum += equal;
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            fetch(codes, itemsize, row[i + AHEAD <= known ? i + AHEAD : i]);
            uint32_t code = code_at(codes, itemsize, row[i]);
            row_codes[i] = (int32_t)code;
            if (itemsize == 4) __builtin_prefetch(count + code, 1);
            else if (count[code]++ == 0) touched[different++] = (int32_t)code;
        }
        for (int64_t i = 0; i < n && itemsize == 4; i++)
            if (count[row_codes[i]]++ == 0) touched[different++] = row_codes[i];
        if (different < n) {                                   /* else nobody agrees: nothing to place */
            int64_t alone = kept + n;
            for (int64_t t = 0; t < different; t++) {
                int32_t *c = count + touched[t];
                int64_t size = *c, several = size > 1;
                starts_out[out] = (int32_t)kept;
                alone -= !several;
                *c = (int32_t)(several ? kept : alone);
                out += several, kept += several ? size : 0, sum += size * (size - 1) / 2;
            }
            for (int64_t i = 0; i < n; i++) rows_out[count[row_codes[i]]++] = row[i];
        }
        for (int64_t t = 0; t < different; t++) count[touched[t]] = 0;
    }
    starts_out[out] = (int32_t)kept;
    *pairs = sum;
    return out;
}

/* count: zeros, one per code, left as zeros; touched and row_codes: scratch as long as the largest cluster. */
int64_t partition_refine(const int32_t *rows, const int32_t *starts, int64_t clusters, const void *codes,
                         int32_t itemsize, int32_t *count, int32_t *touched, int32_t *row_codes, int32_t *rows_out,
                         int32_t *starts_out, int64_t *pairs) {
#define REFINE(size) \
    refine_as(rows, starts, clusters, codes, size, count, touched, row_codes, rows_out, starts_out, pairs)
    if (itemsize == 1) return REFINE(1);
    if (itemsize == 2) return REFINE(2);
    return REFINE(4);
}
