/* Whether a text is another one with words shortened or left out (plain version: shortened.py). */
#include <stdint.h>

enum { APART = 0, SHORTENED = 1, LEFT_OUT = 2 };

static int is_digit(uint8_t sign) { return sign >= '0' && sign <= '9'; }

static int64_t count_words(const uint8_t *text, int64_t size) {
    int64_t words = size > 0;
    for (int64_t at = 0; at < size; at++) words += text[at] == ' ';
    return words;
}

/* End of the word that begins at `at`. */
static int64_t word_end(const uint8_t *text, int64_t at, int64_t size) {
    while (at < size && text[at] != ' ') at++;
    return at;
}

/* Whether a word is the other or its beginning, with or without a dot; *whole counts the signs of equal words. */
static int stands_for(const uint8_t *word, int64_t length, const uint8_t *other, int64_t other_length, int64_t *whole) {
    int equal = length == other_length;
    if (!equal && length && word[length - 1] == '.') length--;
    if (!length || length > other_length || (!equal && is_digit(word[0]))) return 0;
    for (int64_t at = 0; at < length; at++)
        if (word[at] != other[at]) return 0;
    if (equal) *whole += length;
    return length == other_length || (other[length] & 0xC0) != 0x80; /* not within a character */
}

/* Whether the words of `text` stand for words of `longer`, in order; every one of those if `all`. */
static int stands_in(const uint8_t *text, int64_t size, const uint8_t *longer, int64_t longer_size, int all,
                     int64_t *whole) {
    int64_t at = 0, other = 0;
    *whole = 0;
    while (size && at <= size) { /* an empty word at the end is one too */
        int64_t end = word_end(text, at, size), found = 0;
        while (other < longer_size && !found) {
            int64_t other_end = word_end(longer, other, longer_size);
            found = stands_for(text + at, end - at, longer + other, other_end - other, whole);
            if (!found && all) return 0;
            other = other_end + 1;
        }
        if (!found) return 0;
        at = end + 1;
    }
    return 1;
}

/* kind[p] for the values a[p] and b[p], which are different: SHORTENED when one has as many words and each is a word of
 * the other or its beginning, LEFT_OUT when it has fewer and the words that are equal have `least` bytes in all. */
void mpiedge_shortened(const uint8_t *text, const int64_t *offsets, const int64_t *a, const int64_t *b, int64_t pairs,
                       int64_t least, uint8_t *kind) {
    for (int64_t p = 0; p < pairs; p++) {
        const uint8_t *one = text + offsets[a[p]], *other = text + offsets[b[p]];
        int64_t size = offsets[a[p] + 1] - offsets[a[p]], other_size = offsets[b[p] + 1] - offsets[b[p]], whole;
        int64_t words = count_words(one, size), other_words = count_words(other, other_size);
        if (words == other_words) {
            kind[p] = stands_in(one, size, other, other_size, 1, &whole) || stands_in(other, other_size, one, size, 1, &whole)
                          ? SHORTENED : APART;
            continue;
        }
        int within = words < other_words ? stands_in(one, size, other, other_size, 0, &whole)
                                         : stands_in(other, other_size, one, size, 0, &whole);
        kind[p] = within && whole >= least ? LEFT_OUT : APART;
    }
}
