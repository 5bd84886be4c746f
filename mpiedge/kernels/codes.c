/* The codes of all columns of a table at once: their bounds, which rows agree in each, and the order of the rows. */
#include "processor.h"

#include <stdint.h>
#include <string.h>

#define AHEAD 64             /* rows whose codes are fetched ahead of their use */

INLINE uint32_t code_at(const void *codes, int itemsize, int64_t row) {
    if (itemsize == 1) return ((const uint8_t *)codes)[row];
    if (itemsize == 2) return ((const uint16_t *)codes)[row];
    return ((const uint32_t *)codes)[row];
}

/* ---- bounds ---- */

#define BOUNDS(type)                                        \
    {                                                       \
        const type *code = codes;                           \
        type low = code[0], high = code[0];                 \
        for (int64_t i = 1; i < rows; i++) {                \
            low = code[i] < low ? code[i] : low;            \
            high = code[i] > high ? code[i] : high;         \
        }                                                   \
        *smallest = (int64_t)low, *largest = (int64_t)high; \
        break;                                              \
    }

INLINE void bounds_of(const void *codes, int32_t kind, int64_t rows, int64_t *smallest, int64_t *largest) {
    switch (kind) {
        case 1: BOUNDS(uint8_t)
        case 2: BOUNDS(uint16_t)
        case 4: BOUNDS(uint32_t)
        case -1: BOUNDS(int8_t)
        case -2: BOUNDS(int16_t)
        case -4: BOUNDS(int32_t)
        default: BOUNDS(int64_t)
    }
}

/* codes[c]: `rows` (at least one) codes of column c; kind: bytes of each, negative where they have a sign. */
PER_PROCESSOR void codes_bounds(const void *const *codes, const int32_t *kinds, int64_t columns, int64_t rows,
                                int64_t *smallest, int64_t *largest) {
    for (int64_t c = 0; c < columns; c++) bounds_of(codes[c], kinds[c], rows, smallest + c, largest + c);
}

/* ---- counts ---- */

/* Few values: neighbouring rows often have the same code; four tables keep one addition from waiting for another. */
static void count_few(const uint8_t *codes, int64_t n, int32_t *count, int64_t cardinality) {
    uint32_t tables[4][256] = {{0}};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int t = 0; t < 4; t++) tables[t][codes[i + t]]++;
    for (; i < n; i++) tables[0][codes[i]]++;
    for (int64_t c = 0; c < cardinality; c++)
        for (int t = 0; t < 4; t++) count[c] += (int32_t)tables[t][c];
}

/* Adds how often each code occurs among n. */
void codes_count(const void *codes, int32_t itemsize, int64_t n, int32_t *count, int64_t cardinality) {
    if (itemsize == 1) {
        count_few(codes, n, count, cardinality);
    } else if (itemsize == 2) {
        for (int64_t i = 0; i < n; i++) count[((const uint16_t *)codes)[i]]++;
    } else {
        const uint32_t *code = codes;
        for (int64_t i = 0; i < n; i++) {
            __builtin_prefetch(count + code[i + AHEAD < n ? i + AHEAD : i], 1);
            count[code[i]]++;
        }
    }
}

/* Of each block of codes: pairs of rows that agree, and rows that agree with another; block b of n holds the codes
 * [b * cardinality / n, (b + 1) * cardinality / n). Returns how often the most frequent code occurs. */
INLINE int64_t blocks_of(const int32_t *count, int64_t cardinality, int64_t blocks, int64_t *out) {
    int32_t largest = 0;
    for (int64_t b = 0; b < blocks; b++) {
        int64_t stop = (b + 1) * cardinality / blocks, pairs = 0, rows = 0;
        for (int64_t c = b * cardinality / blocks; c < stop; c++) {
            int64_t size = count[c];
            pairs += size * (size - 1) / 2;
            rows += size > 1 ? size : 0;
            largest = count[c] > largest ? count[c] : largest;
        }
        out[2 * b] = pairs, out[2 * b + 1] = rows;
    }
    return largest;
}

/* count: room for the largest cardinality; largest: of each column how often its most frequent code occurs; by_block:
 * columns x blocks x 2. */
PER_PROCESSOR void codes_agreement(const void *const *codes, const int32_t *itemsizes, const int64_t *cardinality,
                                   int64_t columns, int64_t rows, int64_t blocks, int32_t *count, int64_t *largest,
                                   int64_t *by_block) {
    for (int64_t c = 0; c < columns; c++) {
        memset(count, 0, (size_t)cardinality[c] * sizeof *count);
        codes_count(codes[c], itemsizes[c], rows, count, cardinality[c]);
        largest[c] = blocks_of(count, cardinality[c], blocks, by_block + 2 * blocks * c);
    }
}

/* ---- order ---- */

/* One pass of a radix sort: the rows in `from` by their codes, those of one code as they stand. */
INLINE void sort_by(const void *codes, int itemsize, int64_t cardinality, int64_t rows, int32_t *next,
                    const int32_t *from, int32_t *to) {
    memset(next, 0, (size_t)cardinality * sizeof *next);
    codes_count(codes, itemsize, rows, next, cardinality);
    for (int64_t c = 0, at = 0; c < cardinality; c++) {
        int32_t size = next[c];
        next[c] = (int32_t)at, at += size;
    }
    for (int64_t i = 0; i < rows; i++) to[next[code_at(codes, itemsize, from[i])]++] = from[i];
}

/* Sorts the rows 0, 1, 2, ... by the columns, the last of which counts most; next: room for the largest cardinality,
 * other: for the rows. */
void codes_order(const void *const *codes, const int32_t *itemsizes, const int64_t *cardinality, int64_t columns,
                 int64_t rows, int32_t *next, int32_t *order, int32_t *other) {
    int32_t *from = order, *to = other;
    for (int64_t i = 0; i < rows; i++) from[i] = (int32_t)i;
    for (int64_t c = 0; c < columns; c++) {
        if (itemsizes[c] == 1) sort_by(codes[c], 1, cardinality[c], rows, next, from, to);
        else if (itemsizes[c] == 2) sort_by(codes[c], 2, cardinality[c], rows, next, from, to);
        else sort_by(codes[c], 4, cardinality[c], rows, next, from, to);
        int32_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != order) memcpy(order, from, (size_t)rows * sizeof *order);
}
