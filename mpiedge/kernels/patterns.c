/* The shapes of strings, and their lengths in characters. Strings lie one after another. */
#include <stdint.h>

/* Writes the pattern of each string: its bytes by `classes`, runs of `upper` and of `lower` once, cut to `longest` bytes;
 * one after another into `into`, their lengths into `sizes`. Returns the bytes written. */
int64_t mpiedge_text_patterns(const uint8_t *text, const int32_t *length, int64_t count, const uint8_t *classes,
                              uint8_t upper, uint8_t lower, int32_t longest, uint8_t *into, int32_t *sizes)
{
    uint8_t *const begin = into;
    for (int64_t i = 0; i < count; text += length[i++]) {
        uint8_t *const first = into, *const end = into + longest;
        uint8_t last = 0;
        for (int32_t at = 0; at < length[i] && into < end; at++) { /* without branches, which no one could foresee */
            const uint8_t class = classes[text[at]];
            *into = class;
            into += (class != last) | ((class != upper) & (class != lower));
            last = class;
        }
        sizes[i] = (int32_t)(into - first);
    }
    return into - begin;
}

/* The lengths of strings in UTF-8 characters: the shortest, the longest, and their sum when string i occurs counts[i]
 * times; size: bytes of the text. */
void mpiedge_text_characters(const uint8_t *text, int64_t size, const int32_t *length, const int64_t *counts, int64_t count,
                             int64_t *found)
{
    uint8_t all = 0;
    for (int64_t at = 0; at < size; at++)
        all |= text[at];
    int64_t shortest = INT64_MAX, longest = 0, sum = 0;
    for (int64_t i = 0; i < count; text += length[i++]) {
        int64_t characters = length[i];
        if (all & 0x80) /* else each byte is a character */
            for (int32_t at = 0; at < length[i]; at++)
                characters -= (text[at] & 0xC0) == 0x80;
        shortest = characters < shortest ? characters : shortest;
        longest = characters > longest ? characters : longest;
        sum += characters * counts[i];
    }
    found[0] = shortest;
    found[1] = longest;
    found[2] = sum;
}
