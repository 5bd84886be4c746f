/* Jaro-Winkler similarity of short texts, with the characters of each as bits of a word (plain version: jaro_winkler.py).
 *
 * Jaro 1989, Winkler 1990: equal characters no farther apart than half the longer text, those in another order counted
 * half, and a bonus for up to four equal ones at the beginning. Every text of more than LONGEST characters is left out. */
#include <stdint.h>

#define LONGEST 64
#define LATIN 256
#define WINKLER_FROM 0.7
#define WINKLER_SHARE 0.1
#define WINKLER_LONGEST 4

/* The characters of UTF-8 bytes; -1 when there are more than LONGEST. Halves of a pair of characters count as such. */
static int decode(const uint8_t *text, int64_t size, uint32_t *symbols) {
    int length = 0;
    for (int64_t at = 0; at < size;) {
        if (length == LONGEST) return -1;
        uint32_t symbol = text[at++];
        if (symbol >= 0xc0) {
            symbol &= symbol >= 0xf0 ? 0x07 : symbol >= 0xe0 ? 0x0f : 0x1f;
            while (at < size && (text[at] & 0xc0) == 0x80) symbol = symbol << 6 | (text[at++] & 0x3f);
        }
        symbols[length++] = symbol;
    }
    return length;
}

/* Where a text has a character, as bits. Characters beyond LATIN are looked for. */
static inline uint64_t places(const uint64_t *latin, const uint32_t *text, int length, uint32_t symbol) {
    if (symbol < LATIN) return latin[symbol];
    uint64_t bits = 0;
    for (int at = 0; at < length; at++) bits |= (uint64_t)(text[at] == symbol) << at;
    return bits;
}

static double jaro_winkler(uint64_t *latin, const uint32_t *one, int length, const uint32_t *other, int other_length) {
    int longer = length > other_length ? length : other_length, bound = longer / 2 - 1, common = 0, displaced = 0;
    if (!longer) return 1.0;
    if (bound < 0) bound = 0;
    for (int at = 0; at < length; at++)
        if (one[at] < LATIN) latin[one[at]] |= (uint64_t)1 << at;
    uint64_t taken = 0, met = 0;
    for (int at = 0; at < other_length; at++) {
        int first = at > bound ? at - bound : 0, last = at + bound;
        uint64_t window = last >= LONGEST - 1 ? ~(uint64_t)0 : ((uint64_t)1 << (last + 1)) - 1;
        if (first >= LONGEST) break;
        uint64_t here = places(latin, one, length, other[at]) & window & (~(uint64_t)0 << first) & ~taken;
        taken |= here & -here;
        met |= (uint64_t)(here != 0) << at;
        common += here != 0;
    }
    for (uint64_t left = taken; met; met &= met - 1, left &= left - 1)
        displaced += other[__builtin_ctzll(met)] != one[__builtin_ctzll(left)];
    for (int at = 0; at < length; at++)
        if (one[at] < LATIN) latin[one[at]] = 0;
    if (!common) return 0.0;
    double similarity = 0.0;
    similarity += (double)common / length;
    similarity += (double)common / other_length;
    similarity += (double)(common - displaced / 2) / common;
    similarity /= 3.0;
    if (similarity > WINKLER_FROM) {
        int shorter = length < other_length ? length : other_length, prefix = 0;
        while (prefix < WINKLER_LONGEST && prefix < shorter && one[prefix] == other[prefix]) prefix++;
        similarity += prefix * WINKLER_SHARE * (1.0 - similarity);
        if (similarity > 1.0) similarity = 1.0;
    }
    return similarity;
}

/* similarity[p] of the values a[p] and b[p]; -1 where one has more than LONGEST characters. */
void mpiedge_jaro_winkler(const uint8_t *text, const int64_t *offsets, const int32_t *a, const int32_t *b, int64_t pairs,
                          float *similarity) {
    uint64_t latin[LATIN] = {0};
    uint32_t one[LONGEST], other[LONGEST];
    int length = 0;
    for (int64_t p = 0; p < pairs; p++) {
        if (!p || a[p] != a[p - 1]) length = decode(text + offsets[a[p]], offsets[a[p] + 1] - offsets[a[p]], one);
        int other_length = decode(text + offsets[b[p]], offsets[b[p] + 1] - offsets[b[p]], other);
        similarity[p] = length < 0 || other_length < 0 ? -1.0f
                                                       : (float)jaro_winkler(latin, one, length, other, other_length);
    }
}
