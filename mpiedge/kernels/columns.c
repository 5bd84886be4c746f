/* Tables as columns: one text per column, its cells divided by NUL. */
#include <stdint.h>
#include <string.h>

#include "special.h"

enum { LINES, STOP };

/* Whether a byte may belong to a blank: in UTF-8 those that are no ASCII begin with C2, E1, E2 or E3. */
static inline int is_blank(uint8_t byte)
{
    return byte <= ' ' || (byte >= 0x7f && (byte < 0xc3 || (byte >= 0xe1 && byte <= 0xe3)));
}

static int equals(const uint8_t *text, const uint32_t *place, const uint8_t *other, int64_t length)
{
    return place[1] == length && memcmp(text + place[0], other, (size_t)length) == 0;
}

/* Copy a few bytes by a single move: 16 may be written, and are read if they lie before `end`. */
static inline void copy(uint8_t *into, const uint8_t *from, int64_t size, const uint8_t *end)
{
    if (size <= 16 && end - from >= 16)
        memcpy(into, from, 16);
    else
        memcpy(into, from, (size_t)size);
}

/* Cut records of `columns` cells, one line each, from `at` on; quotes are removed in place. The first record that is not
 * plain ends it: one of another width, with a quote that does not enclose a cell, with more than one line, without an
 * ASCII letter, digit or sign, or one that begins and ends like the header (cells of header_length bytes, -1: none).
 * 64 bytes behind the text must be readable. places: start and length of each cell, room for `capacity` records.
 * Returns the records; out: lines passed, byte where it ended. */
int64_t mpiedge_plain_records(uint8_t *text, int64_t size, int64_t at, int64_t delimiter, int64_t quote, int64_t columns,
                              int64_t capacity, const uint8_t *first, int64_t first_length, const uint8_t *last,
                              int64_t last_length, uint32_t *places, int64_t *out)
{
    int64_t records = 0, lines = 0;
    const special_vector stops[4] = {special_fill(delimiter), special_fill('\n'), special_fill('\r'),
                                     special_fill(quote >= 0 ? quote : '\n')};
    int64_t base = -SPECIAL_BYTES;
    uint64_t mask = 0;
    while (at < size && records < capacity) {
        if (text[at] == '\n' || text[at] == '\r') { /* a blank line */
            at += text[at] == '\r' && text[at + 1] == '\n' ? 2 : 1;
            lines++;
            continue;
        }
        uint32_t *place = places + 2 * records * columns;
        int64_t here = at, cells = 0;
        int plain = 0, filled = 0;
        for (;;) {
            int64_t from = here, to;
            if (quote >= 0 && text[here] == quote) {
                int64_t write = ++from, read = from;
                for (;; read++) {
                    if (read >= size || text[read] == '\n' || text[read] == '\r')
                        goto done;
                    if (text[read] == quote) {
                        if (text[read + 1] != quote || read + 1 >= size)
                            break;
                        read++;
                    }
                    write++;
                }
                here = read + 1;
                if (here < size && text[here] != delimiter && text[here] != '\n' && text[here] != '\r')
                    goto done;
                to = from + (write - from);
            } else {
                for (;;) { /* the next delimiter, line end or quote */
                    uint64_t rest = here - base < SPECIAL_BYTES ? mask >> (here - base) : 0;
                    if (rest) {
                        here += __builtin_ctzll(rest);
                        break;
                    }
                    here = here - base < SPECIAL_BYTES ? base + SPECIAL_BYTES : here;
                    if (here >= size)
                        break;
                    base = here;
                    mask = special_mask(text + base, stops, 4);
                }
                if (here > size)
                    here = size;
                if (here < size && quote >= 0 && text[here] == quote)
                    goto done;
                to = here;
            }
            if (cells == columns)
                goto done;
            place[2 * cells] = (uint32_t)from;
            place[2 * cells + 1] = (uint32_t)(to - from);
            for (int64_t i = from; !filled && i < to; i++)
                filled = !is_blank(text[i]);
            cells++;
            if (here >= size || text[here] != delimiter)
                break;
            here++;
        }
        plain = cells == columns && filled;
        if (plain && first_length >= 0 && equals(text, place, first, first_length) &&
            equals(text, place + 2 * (columns - 1), last, last_length))
            plain = 0;
    done:
        if (!plain)
            break;
        for (int64_t cell = 0; quote >= 0 && cell < columns; cell++) { /* doubled quotes become one */
            uint8_t *begin = text + place[2 * cell], *end = begin + place[2 * cell + 1];
            if (!place[2 * cell] || begin[-1] != quote || !memchr(begin, (int)quote, (size_t)(end - begin)))
                continue;
            uint8_t *read = begin;
            for (uint8_t *write = begin; write < end; write++, read++) {
                read += *read == quote;
                *write = *read;
            }
        }
        at = here;
        if (at < size) {
            at += text[at] == '\r' && text[at + 1] == '\n' ? 2 : 1;
            lines++;
        }
        records++;
    }
    out[LINES] = lines;
    out[STOP] = at;
    return records;
}

/* Column after column, the cells with a NUL between each two. `into` must have room for 16 bytes more. ends: columns + 1
 * places in it, the first is 0. starts: rows + 1 for each column, as of mpiedge_cell_starts. */
void mpiedge_gather_columns(const uint8_t *text, int64_t size, const uint32_t *places, int64_t rows, int64_t columns,
                            uint8_t *into, int64_t *ends, uint32_t *starts)
{
    const uint8_t *end = text + size;
    uint8_t *write = into;
    ends[0] = 0;
    for (int64_t column = 0; column < columns; column++) {
        const uint32_t *place = places + 2 * column;
        const uint8_t *begin = write;
        for (int64_t row = 0; row < rows; row++, place += 2 * columns) {
            *starts++ = (uint32_t)(write - begin);
            copy(write, text + place[0], place[1], end);
            write += place[1];
            *write++ = 0;
        }
        write -= rows > 0;
        *starts++ = (uint32_t)(write - begin) + 1;
        ends[column + 1] = write - into;
    }
}

/* Where each cell of a column starts, and one past its end + 1: rows + 1 places. Returns the cells, rows + 1 for more. */
int64_t mpiedge_cell_starts(const uint8_t *text, int64_t size, int64_t rows, uint32_t *starts)
{
    const special_vector nul[1] = {special_fill(0)};
    int64_t row = 0, at = 0;
    if (rows)
        starts[row++] = 0;
    for (; at + SPECIAL_BYTES <= size; at += SPECIAL_BYTES)
        for (uint64_t mask = special_mask(text + at, nul, 1); mask; mask &= mask - 1) {
            if (row >= rows)
                return rows + 1;
            starts[row++] = (uint32_t)(at + __builtin_ctzll(mask) + 1);
        }
    for (; at < size; at++)
        if (!text[at]) {
            if (row >= rows)
                return rows + 1;
            starts[row++] = (uint32_t)(at + 1);
        }
    starts[row] = (uint32_t)(size + 1);
    return row;
}

static int needs_quotes(const uint8_t *text, int64_t size)
{
    for (int64_t at = 0; at < size; at++)
        if (text[at] == ',' || text[at] == '"' || text[at] == '\n' || text[at] == '\r')
            return 1;
    return 0;
}

/* The rows of columns as CSV by RFC 4180, lines ending in \n. starts: rows + 1 for each column, within the column.
 * special: room for a byte per column. Returns the bytes; `into` must have room for 2 * text + 3 * cells + 16. */
int64_t mpiedge_write_csv(const uint8_t *text, const int64_t *ends, const uint32_t **starts, int64_t rows, int64_t columns,
                          uint8_t *special, uint8_t *into)
{
    const uint8_t *text_end = text + ends[columns];
    uint8_t *write = into;
    for (int64_t column = 0; column < columns; column++) {
        special[column] = columns == 1;
        for (const char *sign = ",\"\n\r"; *sign; sign++)
            special[column] |= memchr(text + ends[column], *sign, (size_t)(ends[column + 1] - ends[column])) != NULL;
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t column = 0; column < columns; column++) {
            const uint32_t *start = starts[column] + row;
            const uint8_t *cell = text + ends[column] + start[0], *end = text + ends[column] + start[1] - 1;
            if (!special[column] || !((columns == 1 && cell == end) || needs_quotes(cell, end - cell))) {
                copy(write, cell, end - cell, text_end);
                write += end - cell;
            } else {
                *write++ = '"';
                for (const uint8_t *at = cell; at < end; at++) {
                    if (*at == '"')
                        *write++ = '"';
                    *write++ = *at;
                }
                *write++ = '"';
            }
            *write++ = column + 1 < columns ? ',' : '\n';
        }
    }
    return write - into;
}

static uint8_t *write_number(uint8_t *write, int64_t number)
{
    uint8_t digits[20];
    int many = 0;
    do
        digits[many++] = (uint8_t)('0' + number % 10);
    while ((number /= 10) > 0);
    while (many)
        *write++ = digits[--many];
    return write;
}

/* Lines of two numbers, neither below 0, as CSV; room for 40 bytes a line. Returns the bytes. */
int64_t mpiedge_write_numbers(const int64_t *left, const int64_t *right, int64_t count, uint8_t *into)
{
    uint8_t *write = into;
    for (int64_t i = 0; i < count; i++) {
        write = write_number(write, left[i]);
        *write++ = ',';
        write = write_number(write, right[i]);
        *write++ = '\n';
    }
    return write - into;
}

/* Each cell in `width` bytes, filled up with NUL. */
void mpiedge_fixed_width(const uint8_t *text, const uint32_t *starts, int64_t rows, int64_t width, uint8_t *into)
{
    for (int64_t row = 0; row < rows; row++, into += width) {
        const size_t length = starts[row + 1] - 1 - starts[row];
        memcpy(into, text + starts[row], length);
        memset(into + length, 0, (size_t)width - length);
    }
}
