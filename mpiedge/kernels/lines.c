/* Lines of text made of fragments: head, names of the members of a set, a middle, an end (plain version: lines.py). */
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *text;
    const int64_t *starts;      /* fragment i is text[starts[i]] .. text[starts[i + 1] - 1] */
} fragments;

static int64_t put(const fragments *f, int64_t i, uint8_t *out, int64_t at) {
    int64_t size = f->starts[i + 1] - f->starts[i];
    if (out) memcpy(out + at, f->text + f->starts[i], (size_t)size);
    return at + size;
}

/* Line i: fragment 0 of `around`, the names of the columns in sets[i] (n x words) with fragment 1 of `around` between
 * them, middle[i] of the middles, ends[i] of the ends (NULL: fragment 0 always). Returns the bytes; out NULL: only
 * counts them. */
int64_t mpiedge_lines(const uint64_t *sets, int64_t n, int32_t words, const uint8_t *around_text,
                      const int64_t *around_starts, const uint8_t *name_text, const int64_t *name_starts,
                      const uint8_t *middle_text, const int64_t *middle_starts, const int32_t *middle,
                      const uint8_t *end_text, const int64_t *end_starts, const int32_t *ends, uint8_t *out) {
    const fragments around = {around_text, around_starts}, name = {name_text, name_starts};
    const fragments middles = {middle_text, middle_starts}, last = {end_text, end_starts};
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        int first = 1;
        at = put(&around, 0, out, at);
        for (int32_t w = 0; w < words; w++)
            for (uint64_t bits = sets[i * words + w]; bits; bits &= bits - 1) {
                if (!first) at = put(&around, 1, out, at);
                at = put(&name, w * 64 + __builtin_ctzll(bits), out, at);
                first = 0;
            }
        at = put(&middles, middle ? middle[i] : 0, out, at);
        at = put(&last, ends ? ends[i] : 0, out, at);
    }
    return at;
}
