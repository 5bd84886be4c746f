/* Dictionaries of byte strings. Hosts are little-endian; hashes are the same on all of them. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

enum { AHEAD = 16, NEAR_ROWS = 64, OWNER_BITS = 0xFFFFF };

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ (hash >> 29);
}

static inline uint64_t load8(const uint8_t *text)
{
    uint64_t word;
    memcpy(&word, text, 8);
    return word;
}

static inline uint32_t load4(const uint8_t *text)
{
    uint32_t word;
    memcpy(&word, text, 4);
    return word;
}

/* The 1 to 7 bytes of a string as a number, read in overlapping pieces: no byte outside of it is touched. */
static inline uint64_t load_rest(const uint8_t *text, int64_t length)
{
    if (length >= 4)
        return load4(text) | (uint64_t)load4(text + length - 4) << (8 * (length - 4));
    return text[0] | (uint64_t)text[length / 2] << (8 * (length / 2)) | (uint64_t)text[length - 1] << (8 * (length - 1));
}

static inline uint64_t hash_bytes(const uint8_t *text, int64_t length)
{
    uint64_t hash = (uint64_t)length;
    for (; length >= 8; text += 8, length -= 8)
        hash = mix(hash, load8(text));
    if (length)
        hash = mix(hash, load_rest(text, length));
    return mix(hash, 0);
}

static inline int same_bytes(const uint8_t *one, const uint8_t *other, int64_t length)
{
    if (length >= 8) {
        for (int64_t i = 0; i + 8 < length; i += 8)
            if (load8(one + i) != load8(other + i))
                return 0;
        return load8(one + length - 8) == load8(other + length - 8);
    }
    return length == 0 || load_rest(one, length) == load_rest(other, length);
}

/* String i is text[end[i - 1]] up to text[end[i]]. A slot is 0 or (i + 1) << 32 | tag; the tag is 32 bits of the hash and
 * its low bits choose the slot, so the table grows without a look at the strings. Without slots strings are not
 * compared: each is a new one. */
typedef struct {
    uint8_t *text;
    uint32_t *end;
    uint64_t *slots;
    int64_t text_bytes, text_room, count, room, slot_count;
} dictionary;

void mpiedge_dictionary_free(dictionary *known)
{
    if (known) {
        free(known->text);
        free(known->end);
        free(known->slots);
    }
    free(known);
}

/* Empty slots; many of them in huge pages, where the system has some, as each is met at random. */
static uint64_t *new_slots(int64_t count)
{
    uint64_t *slots = calloc((size_t)count, sizeof *slots);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), huge = (uintptr_t)1 << 21, bytes = (uintptr_t)count * sizeof *slots;
    if (slots && bytes >= 2 * huge) {
        const uintptr_t begin = ((uintptr_t)slots + page - 1) / page * page;
        madvise((void *)begin, ((uintptr_t)slots + bytes - begin) / page * page, MADV_HUGEPAGE);
    }
#endif
    return slots;
}

dictionary *mpiedge_dictionary_new(int32_t compared)
{
    dictionary *known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    known->text_room = 64;
    known->room = AHEAD;
    known->slot_count = compared ? 4 * AHEAD : 0;
    known->text = malloc((size_t)known->text_room);
    known->end = malloc((size_t)known->room * sizeof *known->end);
    known->slots = compared ? new_slots(known->slot_count) : NULL;
    if (known->text && known->end && (known->slots || !compared))
        return known;
    mpiedge_dictionary_free(known);
    return NULL;
}

/* sizes: strings, bytes of text, bytes of memory. */
void mpiedge_dictionary_sizes(const dictionary *known, int64_t *sizes)
{
    sizes[0] = known->count;
    sizes[1] = known->text_bytes;
    sizes[2] = known->text_room + known->room * (int64_t)sizeof *known->end +
               known->slot_count * (int64_t)sizeof *known->slots;
}

const uint8_t *mpiedge_dictionary_text(const dictionary *known) { return known->text; }

void mpiedge_dictionary_lengths(const dictionary *known, int32_t *length)
{
    for (int64_t i = 0; i < known->count; i++)
        length[i] = (int32_t)(known->end[i] - (i ? known->end[i - 1] : 0));
}

/* Makes room for AHEAD more strings; the table stays at most 2/3 full. Returns 0 without memory. */
static int make_room(dictionary *known)
{
    if (known->count + AHEAD > known->room) {
        int64_t room = known->room + known->room / 2 + AHEAD;
        uint32_t *end = realloc(known->end, (size_t)room * sizeof *end);
        if (!end)
            return 0;
        known->end = end;
        known->room = room;
    }
    if (known->slots && 3 * (known->count + AHEAD) > 2 * known->slot_count) {
        int64_t slot_count = 2 * known->slot_count, mask = slot_count - 1;
        uint64_t *slots = new_slots(slot_count);
        if (!slots)
            return 0;
        for (int64_t old = 0; old < known->slot_count; old++)
            if (known->slots[old]) {
                int64_t slot = (int64_t)(uint32_t)known->slots[old] & mask;
                while (slots[slot])
                    slot = (slot + 1) & mask;
                slots[slot] = known->slots[old];
            }
        free(known->slots);
        known->slots = slots;
        known->slot_count = slot_count;
    }
    return 1;
}

/* Returns 0 without memory, which is also where its 32-bit ends do not reach. */
static int append(dictionary *known, const uint8_t *string, int64_t length)
{
    if (known->text_bytes + length > UINT32_MAX)
        return 0;
    if (known->text_bytes + length > known->text_room) {
        int64_t room = known->text_room + known->text_room / 2 + length;
        uint8_t *text = realloc(known->text, (size_t)room);
        if (!text)
            return 0;
        known->text = text;
        known->text_room = room;
    }
    memcpy(known->text + known->text_bytes, string, (size_t)length);
    known->text_bytes += length;
    known->end[known->count++] = (uint32_t)known->text_bytes;
    return 1;
}

/* ids[i] = number of strings[i] in the dictionary, which it enters when it is new; at most AHEAD strings. They are hashed
 * together, so that their slots are on the way from memory. Returns 0 without memory. */
static int look_up(dictionary *known, const uint8_t **strings, const int64_t *lengths, int64_t count, uint32_t *ids)
{
    uint32_t tags[AHEAD];
    if (!make_room(known))
        return 0;
    if (!known->slots) {
        for (int64_t i = 0; i < count; i++) {
            ids[i] = (uint32_t)known->count;
            if (!append(known, strings[i], lengths[i]))
                return 0;
        }
        return 1;
    }
    const int64_t mask = known->slot_count - 1;
    for (int64_t i = 0; i < count; i++) {
        tags[i] = (uint32_t)(hash_bytes(strings[i], lengths[i]) >> 20);
        __builtin_prefetch(known->slots + ((int64_t)tags[i] & mask));
    }
    for (int64_t i = 0; i < count; i++) {
        for (int64_t slot = (int64_t)tags[i] & mask;; slot = (slot + 1) & mask) {
            const uint64_t entry = known->slots[slot];
            if (!entry) {
                known->slots[slot] = (uint64_t)(known->count + 1) << 32 | tags[i];
                ids[i] = (uint32_t)known->count;
                if (!append(known, strings[i], lengths[i]))
                    return 0;
                break;
            }
            if ((uint32_t)entry == tags[i]) {
                const int64_t id = (int64_t)(entry >> 32) - 1;
                const int64_t begin = id ? known->end[id - 1] : 0;
                if (known->end[id] - begin == lengths[i] && same_bytes(known->text + begin, strings[i], lengths[i])) {
                    ids[i] = (uint32_t)id;
                    break;
                }
            }
        }
    }
    return 1;
}

/* Numbers cells: cell (r, c), in dictionary known[c], starts at places[2 * (r * columns + c)] and has as many bytes as the
 * next entry says; its number becomes ids[c * rows + r]. Cells that equal `null` count as empty; empty[c]: how many are.
 * A few rows of all columns at a time, so that their text stays near. Returns 0 without memory. */
int64_t mpiedge_dictionary_add_cells(dictionary **known, const uint8_t *text, const uint32_t *places, int64_t rows,
                                     int64_t columns, const uint8_t *null, int64_t null_length, uint32_t *ids,
                                     int64_t *empty)
{
    memset(empty, 0, (size_t)columns * sizeof *empty);
    for (int64_t first = 0; first < rows; first += NEAR_ROWS) {
        const int64_t stop = rows - first < NEAR_ROWS ? rows : first + NEAR_ROWS;
        for (int64_t column = 0; column < columns; column++) {
            for (int64_t row = first; row < stop; row += AHEAD) {
                const uint8_t *strings[AHEAD];
                const uint32_t *place = places + 2 * (row * columns + column);
                int64_t lengths[AHEAD], many = stop - row < AHEAD ? stop - row : AHEAD;
                for (int64_t i = 0; i < many; i++, place += 2 * columns) {
                    strings[i] = text + place[0];
                    lengths[i] = place[1];
                    if (lengths[i] == null_length && same_bytes(strings[i], null, null_length))
                        lengths[i] = 0;
                    empty[column] += lengths[i] == 0;
                }
                if (!look_up(known[column], strings, lengths, many, ids + column * rows + row))
                    return 0;
            }
        }
    }
    return 1;
}

/* ids[i] = number of string i of those that lie one after another in `text`. Returns the end of the text, NULL without
 * memory. empty: the number of an empty one, if there is one; empties: how many there are, is added to. */
static const uint8_t *add_strings(dictionary *known, const uint8_t *text, const int32_t *length, int64_t count,
                                  uint32_t *ids, int64_t *empty, int64_t *empties)
{
    for (int64_t first = 0; first < count; first += AHEAD) {
        const uint8_t *strings[AHEAD];
        int64_t lengths[AHEAD], many = count - first < AHEAD ? count - first : AHEAD, last = -1;
        for (int64_t i = 0; i < many; i++) {
            strings[i] = text;
            lengths[i] = length[first + i];
            text += lengths[i];
            if (!lengths[i]) {
                last = first + i;
                ++*empties;
            }
        }
        if (!look_up(known, strings, lengths, many, ids + first))
            return NULL;
        if (last >= 0)
            *empty = ids[last];
    }
    return text;
}

/* ids[i] = number of string i of those that lie one after another in `text`. Returns how many are empty, -1 without
 * memory. */
int64_t mpiedge_dictionary_add(dictionary *known, const uint8_t *text, const int32_t *length, int64_t count, uint32_t *ids)
{
    int64_t empty, empties = 0;
    return add_strings(known, text, length, count, ids, &empty, &empties) ? empties : -1;
}

/* Numbers strings of several columns that came from several ranks: texts[r], lengths[r] are those of rank r, column after
 * column, counts[r * columns + c] of them of column c; their numbers go to ids[r]. These pointers move on. empty[c]: the
 * number of the empty string where one came, else -1. Returns 0 without memory. */
int64_t mpiedge_dictionary_add_columns(dictionary **known, int64_t columns, int64_t ranks, const uint8_t **texts,
                                       const int32_t **lengths, const int64_t *counts, uint32_t **ids, int64_t *empty)
{
    int64_t empties = 0;
    for (int64_t column = 0; column < columns; column++) {
        empty[column] = -1;
        for (int64_t rank = 0; rank < ranks; rank++) {
            const int64_t count = counts[rank * columns + column];
            texts[rank] = add_strings(known[column], texts[rank], lengths[rank], count, ids[rank], empty + column, &empties);
            if (!texts[rank])
                return 0;
            lengths[rank] += count;
            ids[rank] += count;
        }
    }
    return 1;
}

void mpiedge_hash_strings(const uint8_t *text, const int32_t *length, int64_t count, uint64_t *hashes)
{
    for (int64_t i = 0; i < count; text += length[i++])
        hashes[i] = hash_bytes(text, length[i]);
}

/* Deals the strings of several parts out to their owners. texts[p], lengths[p]: the strings of a part, counts[p] of them,
 * one after another. rank_of: the owner of each of `slices` slices of the hashes. Into `into`, `sizes` and `numbers` go
 * the text, the lengths and the numbers, over all parts, of the strings of the first owner, part after part, then those of
 * the next. owners: room for the owner of each string; dealt, bytes: ranks x parts zeros, then the strings and the text
 * of each part for each owner; places: room for 2 * ranks. */
void mpiedge_deal(const uint8_t **texts, const int32_t **lengths, const int64_t *counts, int64_t parts,
                  const uint16_t *rank_of, int64_t slices, int64_t ranks, uint16_t *owners, int64_t *dealt, int64_t *bytes,
                  int64_t *places, uint8_t *into, int32_t *sizes, uint32_t *numbers)
{
    uint16_t *owner = owners;
    for (int64_t part = 0; part < parts; part++) {
        const uint8_t *text = texts[part];
        for (int64_t i = 0; i < counts[part]; i++, owner++) {
            const int32_t length = lengths[part][i];
            *owner = rank_of[(uint32_t)(hash_bytes(text, length) & OWNER_BITS) % (uint32_t)slices];
            dealt[*owner * parts + part]++;
            bytes[*owner * parts + part] += length;
            text += length;
        }
    }
    int64_t *at = places, *byte_at = places + ranks, strings = 0, size = 0;
    for (int64_t rank = 0; rank < ranks; rank++) {
        at[rank] = strings;
        byte_at[rank] = size;
        for (int64_t part = 0; part < parts; part++) {
            strings += dealt[rank * parts + part];
            size += bytes[rank * parts + part];
        }
    }
    uint32_t number = 0;
    for (int64_t part = 0; part < parts; part++) {
        const uint8_t *text = texts[part];
        for (int64_t i = 0; i < counts[part]; i++, number++) {
            const int32_t length = lengths[part][i];
            const uint16_t rank = owners[number];
            memcpy(into + byte_at[rank], text, (size_t)length);
            byte_at[rank] += length;
            sizes[at[rank]] = length;
            numbers[at[rank]++] = number;
            text += length;
        }
    }
}

/* Hashes of the cells of a column, divided by NUL; starts: one more than there are cells. */
void mpiedge_hash_cells(const uint8_t *text, const uint32_t *starts, int64_t count, uint64_t *hashes)
{
    for (int64_t i = 0; i < count; i++)
        hashes[i] = hash_bytes(text + starts[i], (int64_t)starts[i + 1] - 1 - starts[i]);
}

/* Number equal strings alike, in the order of first occurrence. String i is text[start[i]], of length[i] bytes. slots:
 * `slot_count` (a power of two, more than the strings) zeroed entries. ids[i] = number of string i; first[id],
 * hashes[id] = its first occurrence and hash. Returns how many differ. */
int64_t mpiedge_group(const uint8_t *text, const int64_t *start, const int32_t *length, int64_t count, int32_t *slots,
                      int64_t slot_count, int32_t *ids, int64_t *first, uint64_t *hashes)
{
    int64_t distinct = 0, mask = slot_count - 1;
    uint64_t ahead[AHEAD];
    for (int64_t i = 0; i < count; i++) {
        if (i % AHEAD == 0) /* hash a few strings at once, so that their slots are on the way from memory */
            for (int64_t j = i; j < i + AHEAD && j < count; j++) {
                ahead[j - i] = hash_bytes(text + start[j], length[j]);
                __builtin_prefetch(slots + ((int64_t)(ahead[j - i] >> 20) & mask));
            }
        const uint64_t hash = ahead[i % AHEAD];
        for (int64_t slot = (int64_t)(hash >> 20) & mask;; slot = (slot + 1) & mask) {
            int32_t id = slots[slot] - 1;
            if (id < 0) {
                id = (int32_t)distinct++;
                slots[slot] = id + 1;
                first[id] = i;
                hashes[id] = hash;
                ids[i] = id;
                break;
            }
            if (hashes[id] == hash && length[first[id]] == length[i] &&
                same_bytes(text + start[first[id]], text + start[i], length[i])) {
                ids[i] = id;
                break;
            }
        }
    }
    return distinct;
}

/* Copy `count` strings one after another into `into`. */
void mpiedge_copy_strings(const uint8_t *text, const int64_t *start, const int32_t *length, int64_t count, uint8_t *into)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(into, text + start[i], (size_t)length[i]);
        into += length[i];
    }
}

/* numbers[code] = place of the code among those that occur, in the order of first occurrence; zeroed before; afterwards
 * the codes are those numbers. Returns how many occur. Once all have been met, codes are only looked up. */
#define RENUMBER(type)                                                                                                 \
    type *code = codes, *end = code + rows;                                                                            \
    for (; code < end && occur < distinct; code++) {                                                                   \
        uint32_t number = numbers[*code];                                                                              \
        if (!number)                                                                                                   \
            numbers[*code] = number = (uint32_t)++occur;                                                               \
        *code = (type)(number - 1);                                                                                    \
    }                                                                                                                  \
    for (; code < end; code++)                                                                                         \
        *code = (type)(numbers[*code] - 1);
int64_t mpiedge_renumber(void *codes, int64_t item_bytes, int64_t rows, uint32_t *numbers, int64_t distinct)
{
    int64_t occur = 0;
    if (item_bytes == 1) {
        RENUMBER(uint8_t)
    } else if (item_bytes == 2) {
        RENUMBER(uint16_t)
    } else {
        RENUMBER(uint32_t)
    }
    for (int64_t code = 0; code < distinct; code++)
        numbers[code]--;
    return occur;
}

/* times[id] counts the `ids`, of 1, 2 or 4 bytes. */
#define COUNT(type)                                                                                                    \
    for (int64_t i = 0; i < count; i++)                                                                                \
        times[((const type *)ids)[i]]++;
void mpiedge_count(const void *ids, int64_t item_bytes, int64_t count, uint32_t *times)
{
    if (item_bytes == 1) {
        COUNT(uint8_t)
    } else if (item_bytes == 2) {
        COUNT(uint16_t)
    } else {
        COUNT(uint32_t)
    }
}

/* into[i] = mapping[ids[i]], for items of 1, 2 or 4 bytes on both sides. */
#define SPREAD(from, to)                                                                                               \
    for (int64_t i = 0; i < count; i++)                                                                                \
        ((to *)into)[i] = (to)mapping[((const from *)ids)[i]];
#define SPREAD_TO(from)                                                                                                \
    if (into_bytes == 1) {                                                                                             \
        SPREAD(from, uint8_t)                                                                                          \
    } else if (into_bytes == 2) {                                                                                      \
        SPREAD(from, uint16_t)                                                                                         \
    } else {                                                                                                           \
        SPREAD(from, uint32_t)                                                                                         \
    }
void mpiedge_spread(const uint32_t *mapping, const void *ids, int64_t id_bytes, int64_t count, void *into, int64_t into_bytes)
{
    if (id_bytes == 1) {
        SPREAD_TO(uint8_t)
    } else if (id_bytes == 2) {
        SPREAD_TO(uint16_t)
    } else {
        SPREAD_TO(uint32_t)
    }
}
