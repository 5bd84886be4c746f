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
        for (int32_t at = 0; at < length[i] && into < end; at++) {
            const uint8_t class = classes[text[at]];
            if (class != last || (class != upper && class != lower))
                *into++ = class;
            last = class;
        }
        sizes[i] = (int32_t)(into - first);
    }
    return into - begin;
}

/* characters[i] = length of string i in UTF-8 characters. */
void mpiedge_text_characters(const uint8_t *text, const int32_t *length, int64_t count, int64_t *characters)
{
    for (int64_t i = 0; i < count; text += length[i++]) {
        int64_t starts = 0;
        for (int32_t at = 0; at < length[i]; at++)
            starts += (text[at] & 0xC0) != 0x80;
        characters[i] = starts;
    }
}
