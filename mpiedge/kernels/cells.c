/* Cells of CSV text. */
#include <stdint.h>
#include <string.h>

#include "special.h"

typedef struct {
    const uint8_t *text;
    int64_t base, size;
    uint64_t mask;
    special_vector stops[3];
} finder;

/* The first stop (delimiter or line end) at or after `at`, which never decreases; `size` when there is none. */
static inline int64_t next_stop(finder *find, int64_t at)
{
    uint64_t rest = at - find->base < SPECIAL_BYTES ? find->mask >> (at - find->base) : 0;
    if (rest)
        return at + __builtin_ctzll(rest);
    find->base = at - find->base < SPECIAL_BYTES ? find->base + SPECIAL_BYTES : at;
    while (find->base < find->size) {
        find->mask = special_mask(find->text + find->base, find->stops, 3);
        if (find->mask) {
            at = find->base + __builtin_ctzll(find->mask);
            return at < find->size ? at : find->size;
        }
        find->base += SPECIAL_BYTES;
    }
    find->mask = 0;
    return find->size;
}

/* Cut `size` bytes of whole CSV records into cells of `columns` per record, quotes removed in place. 64 bytes behind the
 * text must be readable. places: start and length of each cell, row by row, room for `capacity` records. Blank lines
 * are no records. Returns the number of records; -1 with problem = {byte where the bad record starts, its cells (-1:
 * quote never closed)}; -2 when there are more than `capacity` records. */
int64_t mpiedge_csv_cells(uint8_t *text, int64_t size, uint8_t delimiter, uint8_t quote, int64_t columns,
                          int64_t capacity, uint32_t *places, int64_t *problem)
{
    int64_t record = 0, at = 0;
    finder find = {text, -SPECIAL_BYTES, size, 0, {special_fill(delimiter), special_fill('\n'), special_fill('\r')}};
    while (at < size) {
        if (text[at] == '\n' || text[at] == '\r') { /* a blank line, or the \n of \r\n */
            at++;
            continue;
        }
        int64_t record_start = at, cells = 0;
        if (record >= capacity)
            return -2;
        for (;;) {
            int64_t from = at, to;
            if (at < size && text[at] == quote) {
                int64_t write = ++from;
                at++;
                for (;;) {
                    const uint8_t *closing = at < size ? memchr(text + at, quote, (size_t)(size - at)) : NULL;
                    if (!closing) {
                        problem[0] = record_start;
                        problem[1] = -1;
                        return -1;
                    }
                    int64_t piece = closing - text - at;
                    if (write != at)
                        memmove(text + write, text + at, (size_t)piece);
                    write += piece;
                    at += piece + 1;
                    if (at >= size || text[at] != quote)
                        break;
                    text[write++] = quote;
                    at++;
                }
                int64_t stop = next_stop(&find, at); /* text after the closing quote stays part of the cell */
                memmove(text + write, text + at, (size_t)(stop - at));
                to = write + stop - at;
                at = stop;
            } else
                to = at = next_stop(&find, at);
            if (cells < columns) {
                *places++ = (uint32_t)from;
                *places++ = (uint32_t)(to - from);
            }
            cells++;
            if (at >= size || text[at] != delimiter)
                break;
            at++;
        }
        if (cells != columns) {
            problem[0] = record_start;
            problem[1] = cells;
            return -1;
        }
        record++;
        if (at < size && text[at] == '\r')
            at++;
        if (at < size && text[at] == '\n')
            at++;
    }
    return record;
}
