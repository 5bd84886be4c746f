/* Where the records of a CSV end: its quoting rules (as Python's csv module reads them) as a finite automaton over bytes. */

#include <stdint.h>

#include "special.h"

/* The same numbers stand in mpiedge/kernels/records.py. */
enum { START_RECORD, START_FIELD, IN_FIELD, IN_QUOTED, QUOTE_IN_QUOTED, ESCAPED_IN_FIELD, ESCAPED_IN_QUOTED, AFTER_CR };
enum { STATE, RECORDS, LINES, FIRST_CUT, RECORDS_TO_CUT, LINES_TO_CUT, OPENED, OPENED_LINE, LONGEST, LONGEST_AT, ENTRY_LINES,
       ENTRY_CLOSED };

typedef struct {
    const uint8_t *data;
    int64_t size, base;
    uint64_t mask;
    special_vector special[5];
    int escapes;
} skipper;

/* The first special byte at or after i, or i itself in the last bytes: between them neither the inside of a field nor that
 * of quotes is left. */
static inline int64_t skip(skipper *bytes, int64_t i)
{
    while (i < bytes->size) {
        const int64_t base = i & ~(int64_t)(SPECIAL_BYTES - 1);
        if (base != bytes->base) {
            if (base + SPECIAL_BYTES > bytes->size)
                return i;
            bytes->base = base;
            bytes->mask = bytes->escapes ? special_mask(bytes->data + base, bytes->special, 5)
                                         : special_mask(bytes->data + base, bytes->special, 4);
        }
        const uint64_t rest = bytes->mask >> (i - base);
        if (rest)
            return i + __builtin_ctzll(rest);
        i = base + SPECIAL_BYTES;
    }
    return bytes->size;
}

/* dialect: delimiter, quote, escape; -1 where there is none. next: the byte after the block, -1 at the end of the file.
 * A line ends at \n, \r or \r\n; a blank line is no record. Offsets are relative to the block. */
void mpiedge_records_scan(const uint8_t *data, int64_t size, int64_t next, const int64_t *dialect, int64_t state, int64_t *out)
{
    const int delimiter = (int)dialect[0], quote = (int)dialect[1], escape = (int)dialect[2];
    int64_t records = 0, lines = 0, first_cut = -1, records_to_cut = 0, lines_to_cut = 0;
    int64_t opened = -1, opened_line = 0, longest = 0, longest_at = -1, entry_lines = 0;
    int entry_closed = state != IN_QUOTED && state != ESCAPED_IN_QUOTED && state != QUOTE_IN_QUOTED;

    skipper bytes = {data, size, -1, 0,
                     {special_fill(delimiter), special_fill('\n'), special_fill('\r'),
                      special_fill(quote >= 0 ? quote : '\n'), special_fill(escape >= 0 ? escape : '\n')},
                     escape >= 0};

    for (int64_t i = 0; i < size; i++) {
        if (state == IN_FIELD || state == IN_QUOTED) {
            i = skip(&bytes, i);
            if (i >= size) break;
        }
        const int c = data[i];
        const int newline = c == '\n' || c == '\r';
        const int crlf = c == '\r' && (i + 1 < size ? data[i + 1] : next) == '\n';
        if (state == IN_QUOTED) {
            if (c == quote) state = QUOTE_IN_QUOTED;
            else if (c == escape) state = ESCAPED_IN_QUOTED;
            else if (newline && !crlf) lines++;
            continue;
        }
        if (state == ESCAPED_IN_QUOTED) {
            if (newline && !crlf) lines++;
            state = IN_QUOTED;
            continue;
        }
        if (state == QUOTE_IN_QUOTED) {
            if (c == quote) { state = IN_QUOTED; continue; }
            if (!entry_closed) { entry_lines = lines; entry_closed = 1; }
            else if (lines - opened_line > longest) { longest = lines - opened_line; longest_at = opened; }
            state = IN_FIELD; /* text after a closing quote belongs to the cell */
        } else if (state == AFTER_CR) {
            state = START_RECORD;
            if (c == '\n') continue; /* the second half of \r\n */
        } else if (state == ESCAPED_IN_FIELD) {
            state = IN_FIELD;
            if (!newline) continue;
        }
        if (newline) {
            if (state != START_RECORD) records++;
            lines++;
            state = c == '\r' ? AFTER_CR : START_RECORD;
            if (first_cut < 0) { first_cut = i + 1 + crlf; records_to_cut = records; lines_to_cut = lines; }
        } else if (c == delimiter) state = START_FIELD;
        else if (c == escape) state = ESCAPED_IN_FIELD;
        else if (c == quote && state != IN_FIELD) { state = IN_QUOTED; opened = i; opened_line = lines; }
        else state = IN_FIELD;
    }
    if (!entry_closed) entry_lines = lines;
    out[STATE] = state; out[RECORDS] = records; out[LINES] = lines;
    out[FIRST_CUT] = first_cut; out[RECORDS_TO_CUT] = records_to_cut; out[LINES_TO_CUT] = lines_to_cut;
    out[OPENED] = opened; out[OPENED_LINE] = opened_line; out[LONGEST] = longest; out[LONGEST_AT] = longest_at;
    out[ENTRY_LINES] = entry_lines; out[ENTRY_CLOSED] = entry_closed;
}
