/* Cells of CSV text, and dictionaries of byte strings. Hosts are little-endian; hashes are the same on all of them. */
#include <stdint.h>
#include <string.h>

/* Cut `size` bytes of whole CSV records into cells of `columns` per record, quotes removed in place.
 * start/length: one entry per cell, row by row, room for `capacity` records. Blank lines are no records.
 * Returns the number of records, or -1 with problem = {byte where the bad record starts, its cells (-1: quote never
 * closed)}. */
int64_t mpiedge_csv_cells(uint8_t *text, int64_t size, uint8_t delimiter, uint8_t quote, int64_t columns,
                          int64_t capacity, int64_t *start, int32_t *length, int64_t *problem)
{
    int64_t record = 0, at = 0;
    uint8_t stops[256] = {0};
    stops[delimiter] = stops['\n'] = stops['\r'] = 1;
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
                int64_t write = from;
                at++;
                for (;;) {
                    if (at >= size) {
                        problem[0] = record_start;
                        problem[1] = -1;
                        return -1;
                    }
                    if (text[at] != quote)
                        text[write++] = text[at++];
                    else if (at + 1 < size && text[at + 1] == quote) {
                        text[write++] = quote;
                        at += 2;
                    } else {
                        at++;
                        break;
                    }
                }
                while (at < size && !stops[text[at]]) /* text after the closing quote stays part of the cell */
                    text[write++] = text[at++];
                to = write;
            } else {
                while (at < size && !stops[text[at]])
                    at++;
                to = at;
            }
            if (cells < columns) {
                start[record * columns + cells] = from;
                length[record * columns + cells] = (int32_t)(to - from);
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

enum { AHEAD = 16 };

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ (hash >> 29);
}

static inline uint64_t hash_bytes(const uint8_t *text, int64_t length)
{
    uint64_t hash = (uint64_t)length, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        hash = mix(hash, word);
    }
    if (length) {
        word = 0;
        for (int64_t i = 0; i < length; i++)
            word |= (uint64_t)text[i] << (8 * i);
        hash = mix(hash, word);
    }
    return mix(hash, 0);
}

/* Number equal strings alike, in the order of first occurrence. String i is text[start[i * stride]], of
 * length[i * stride] bytes. slots: `slot_count` (a power of two, more than the strings) zeroed entries.
 * ids[i] = number of string i; first[id], hashes[id] = its first occurrence and hash. Returns how many differ. */
int64_t mpiedge_group(const uint8_t *text, const int64_t *start, const int32_t *length, int64_t stride, int64_t count,
                      int32_t *slots, int64_t slot_count, int32_t *ids, int64_t *first, uint64_t *hashes)
{
    int64_t distinct = 0, mask = slot_count - 1;
    uint64_t ahead[AHEAD];
    for (int64_t i = 0; i < count; i++) {
        if (i % AHEAD == 0) /* hash a few strings at once, so that their slots are on the way from memory */
            for (int64_t j = i; j < i + AHEAD && j < count; j++) {
                ahead[j - i] = hash_bytes(text + start[j * stride], length[j * stride]);
                __builtin_prefetch(slots + ((int64_t)(ahead[j - i] >> 20) & mask));
            }
        const uint8_t *string = text + start[i * stride];
        int32_t size = length[i * stride];
        uint64_t hash = ahead[i % AHEAD];
        int64_t slot = (int64_t)(hash >> 20) & mask;
        for (;; slot = (slot + 1) & mask) {
            int32_t id = slots[slot] - 1;
            if (id < 0) {
                id = (int32_t)distinct++;
                slots[slot] = id + 1;
                first[id] = i;
                hashes[id] = hash;
                ids[i] = id;
                break;
            }
            if (hashes[id] == hash && length[first[id] * stride] == size &&
                !memcmp(text + start[first[id] * stride], string, (size_t)size)) {
                ids[i] = id;
                break;
            }
        }
    }
    return distinct;
}

/* mpiedge_group for each of `columns` columns of `rows` cells; cell (r, c) is start[r * columns + c]. Column c fills
 * ids[c * rows ...], hashes[c * rows ...], first[c * rows ...] (as r * columns + c) and distinct[c]. */
void mpiedge_group_columns(const uint8_t *text, const int64_t *start, const int32_t *length, int64_t rows,
                           int64_t columns, int32_t *slots, int64_t slot_count, int32_t *ids, int64_t *first,
                           uint64_t *hashes, int64_t *distinct)
{
    for (int64_t column = 0; column < columns; column++) {
        int64_t *places = first + column * rows;
        memset(slots, 0, (size_t)slot_count * sizeof *slots);
        distinct[column] = mpiedge_group(text, start + column, length + column, columns, rows, slots, slot_count,
                                         ids + column * rows, places, hashes + column * rows);
        for (int64_t id = 0; id < distinct[column]; id++)
            places[id] = places[id] * columns + column;
    }
}

/* Copy `count` strings one after another into `into`. */
void mpiedge_copy_strings(const uint8_t *text, const int64_t *start, const int32_t *length, int64_t count,
                          uint8_t *into)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(into, text + start[i], (size_t)length[i]);
        into += length[i];
    }
}
