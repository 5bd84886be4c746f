/* How many rows must go so that a set of columns determines another: the numerator of g3 (Kivinen & Mannila 1995). */
#include "evidence.h"

#define REMOVALS(type)                                                                              \
    static int64_t removals_##type(const int32_t *rows, const int32_t *starts, int64_t clusters,    \
                                   const type *codes, int32_t *count, int64_t limit) {              \
        int64_t sum = 0;                                                                            \
        for (int64_t k = 0; k < clusters && sum <= limit; k++) {                                    \
            const int32_t *row = rows + starts[k];                                                  \
            int64_t n = starts[k + 1] - starts[k];                                                  \
            if (n == 2) {                                                                           \
                sum += codes[row[0]] != codes[row[1]];                                              \
                continue;                                                                           \
            }                                                                                       \
            int32_t most = 0;                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                       \
                int32_t times = ++count[codes[row[i]]];                                             \
                if (times > most) most = times;                                                     \
            }                                                                                       \
            for (int64_t i = 0; i < n; i++) count[codes[row[i]]] = 0;                               \
            sum += n - most;                                                                        \
        }                                                                                           \
        return sum;                                                                                 \
    }

REMOVALS(uint8_t)
REMOVALS(uint16_t)
REMOVALS(uint32_t)

/* Per cluster its size less its most frequent code, added up until the sum exceeds `limit`.
 * count: zeros, one per code, left as zeros. */
int64_t removals_count(const int32_t *rows, const int32_t *starts, int64_t clusters, const void *codes,
                       int32_t itemsize, int32_t *count, int64_t limit) {
    if (itemsize == 1) return removals_uint8_t(rows, starts, clusters, codes, count, limit);
    if (itemsize == 2) return removals_uint16_t(rows, starts, clusters, codes, count, limit);
    return removals_uint32_t(rows, starts, clusters, codes, count, limit);
}

/* Marks in `taken` the columns that would complete one of the sets `known`. */
static void mark_completing(const uint64_t *known, int64_t many, int32_t words, const uint64_t *set, uint64_t *taken) {
    for (int64_t k = 0; k < many; k++) {
        int outside = 0, where = 0;
        uint64_t last = 0;
        for (int32_t w = 0; w < words && outside < 2; w++) {
            uint64_t left = known[k * words + w] & ~set[w];
            if (!left) continue;
            outside += left & (left - 1) ? 2 : 1;
            last = left;
            where = w;
        }
        if (outside == 1) taken[where] |= last;
    }
}

/* Adds columns of `order`, from number `place` on, to `set` as long as it does not determine `right` within `limit`
 * removals, until about `most` rows were looked at; returns the number of the column to go on with.
 *
 * rows, starts: the partition of the set at first; codes, itemsize: by column; known: sets that do determine `right`
 * (many x words). count: zeros, one per code of any column; touched, row_codes: as long as the largest cluster; space:
 * four int32 arrays as long as rows, starts, rows, starts. What stays as it is from call to call: held, which half of
 * the space the partition lies in (-1 at first) and how many clusters it has; taken, the columns not to be tried. */
int64_t removals_extend(const int32_t *rows, const int32_t *starts, const void **codes, const int32_t *itemsize,
                        const int32_t *order, int64_t columns, int64_t place, int64_t most, int32_t right,
                        int64_t limit, const uint64_t *known, int64_t many, int32_t words, int32_t *count,
                        int32_t *touched, int32_t *row_codes, int32_t **space, int64_t *held, uint64_t *taken,
                        uint64_t *set) {
    int64_t pairs, looked = 0;
    if (place == 0) {
        for (int32_t w = 0; w < words; w++) taken[w] = set[w];
        taken[right >> 6] |= 1ULL << (right & 63);
        mark_completing(known, many, words, set, taken);
    }
    if (held[0] >= 0) rows = space[2 * held[0]], starts = space[2 * held[0] + 1];
    for (; place < columns && looked < most; place++) {
        int32_t column = order[place];
        if (taken[column >> 6] >> (column & 63) & 1) continue;
        int64_t into = held[0] == 0;
        int32_t *rows_out = space[2 * into], *starts_out = space[2 * into + 1];
        looked += starts[held[1]];
        int64_t out = partition_refine(rows, starts, held[1], codes[column], itemsize[column], count, touched,
                                       row_codes, rows_out, starts_out, &pairs);
        if (starts_out[out] - out <= limit) continue;    /* a row per cluster stays: enough for any right-hand side */
        if (removals_count(rows_out, starts_out, out, codes[right], itemsize[right], count, limit) <= limit) continue;
        rows = rows_out, starts = starts_out;
        held[0] = into, held[1] = out;
        set[column >> 6] |= 1ULL << (column & 63);
        mark_completing(known, many, words, set, taken);
    }
    return place;
}
