/* The most frequent of many strings. */
#include <stdint.h>
#include <string.h>

static int before(const uint8_t *one, int32_t one_length, const uint8_t *other, int32_t other_length)
{
    const int order = memcmp(one, other, (size_t)(one_length < other_length ? one_length : other_length));
    return order ? order < 0 : one_length < other_length;
}

/* The `most` strings with the largest counts, of equal counts those that come first as bytes; strings lie one after another.
 * Into `which` and `start` go their numbers and where they start, in that order; returns how many there are. */
int64_t mpiedge_most_frequent(const uint8_t *text, const int32_t *length, const int64_t *counts, int64_t count, int64_t most,
                              int64_t *which, int64_t *start)
{
    int64_t found = 0, at = 0;
    for (int64_t i = 0; i < count && most > 0; at += length[i++]) {
        int64_t place = found;
        for (; place > 0; place--) {
            const int64_t other = which[place - 1];
            if (counts[i] < counts[other] ||
                (counts[i] == counts[other] && !before(text + at, length[i], text + start[place - 1], length[other])))
                break;
        }
        if (place == most)
            continue;
        found += found < most;
        for (int64_t later = found - 1; later > place; later--) {
            which[later] = which[later - 1];
            start[later] = start[later - 1];
        }
        which[place] = i;
        start[place] = at;
    }
    return found;
}
