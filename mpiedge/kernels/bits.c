/* The order of sets of columns: those of one size together, then a radix sort by bytes, the least significant first.
 * Both keep the order of equal sets. */
#include "processor.h"

#include <stdint.h>
#include <string.h>

#define FEW 48               /* items that are sorted by insertion */

typedef struct {
    uint64_t key, at;
} item;

/* Sorts n items by their keys; other: room for as many. */
INLINE void sort_by_key(item *items, item *other, int64_t n) {
    if (n <= FEW) {
        for (int64_t i = 1; i < n; i++) {
            item moved = items[i];
            int64_t to = i;
            for (; to > 0 && items[to - 1].key > moved.key; to--) items[to] = items[to - 1];
            items[to] = moved;
        }
        return;
    }
    uint32_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < n; i++)
        for (int byte = 0; byte < 8; byte++) counts[byte][items[i].key >> 8 * byte & 255]++;
    item *from = items, *to = other;
    for (int byte = 0; byte < 8; byte++) {
        uint32_t *next = counts[byte], at = 0;
        if (next[from[0].key >> 8 * byte & 255] == n) continue;   /* all have the same */
        for (int value = 0; value < 256; value++) {
            uint32_t count = next[value];
            next[value] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) to[next[from[i].key >> 8 * byte & 255]++] = from[i];
        item *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != items) memcpy(items, from, (size_t)n * sizeof(item));
}

INLINE int64_t size_of(const uint64_t *mask, int32_t words) {
    int64_t size = 0;
    for (int32_t w = 0; w < words; w++) size += __builtin_popcountll(mask[w]);
    return size;
}

/* As a key, column 0 counts most, and sets that hold it come first. */
INLINE uint64_t by_column(uint64_t word) {
    word = (word >> 1 & 0x5555555555555555ULL) | (word & 0x5555555555555555ULL) << 1;
    word = (word >> 2 & 0x3333333333333333ULL) | (word & 0x3333333333333333ULL) << 2;
    word = (word >> 4 & 0x0F0F0F0F0F0F0F0FULL) | (word & 0x0F0F0F0F0F0F0F0FULL) << 4;
    return ~__builtin_bswap64(word);
}

/* Whether the masks stand in the order of size and value. */
INLINE int in_order(const uint64_t *masks, int64_t n, int32_t words) {
    for (int64_t i = 1; i < n; i++) {
        const uint64_t *a = masks + (i - 1) * words, *b = a + words;
        int64_t more = size_of(b, words) - size_of(a, words);
        for (int32_t w = words - 1; w >= 0 && !more; w--) more = (b[w] > a[w]) - (b[w] < a[w]);
        if (more < 0) return 0;
    }
    return 1;
}

/* order: n numbers that sort the masks by size, then by value (the last word counts most) or, with `by_columns`, by
 * their ascending columns. starts: zeros, 64 words + 3 of them; items: room for n, twice. */
PER_PROCESSOR void bits_order(const uint64_t *masks, int64_t n, int32_t words, int32_t by_columns, int64_t *starts,
                              item *items, int64_t *order) {
    if (!by_columns && in_order(masks, n, words)) {
        for (int64_t i = 0; i < n; i++) order[i] = i;
        return;
    }
    for (int64_t i = 0; i < n; i++) starts[size_of(masks + i * words, words) + 2]++;
    for (int32_t size = 0; size < words * 64; size++) starts[size + 2] += starts[size + 1];
    for (int64_t i = 0; i < n; i++) items[starts[size_of(masks + i * words, words) + 1]++].at = (uint64_t)i;
    for (int32_t size = 0; size <= words * 64; size++) {
        item *group = items + starts[size];
        int64_t count = starts[size + 1] - starts[size];
        for (int32_t step = 0; step < words && count; step++) {
            int32_t word = by_columns ? words - 1 - step : step;
            for (int64_t i = 0; i < count; i++) {
                uint64_t value = masks[group[i].at * (uint64_t)words + (uint64_t)word];
                group[i].key = by_columns ? by_column(value) : value;
            }
            sort_by_key(group, items + n, count);
        }
    }
    for (int64_t i = 0; i < n; i++) order[i] = (int64_t)items[i].at;
}

/* counts: zeros, 64 words of them; adds to each how many masks hold that column. */
void bits_counts(const uint64_t *masks, int64_t n, int32_t words, int64_t *counts) {
    for (int64_t i = 0; i < n; i++)
        for (int32_t w = 0; w < words; w++)
            for (uint64_t left = masks[i * words + w]; left; left &= left - 1) counts[w * 64 + __builtin_ctzll(left)]++;
}
