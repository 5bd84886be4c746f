/* Evidence: the set of difference sets (the columns in which two rows differ) of the row pairs looked at so far.
 *
 * One row is a tile of bytes: the low bytes of all columns, then the second bytes of the columns with more than 256
 * values, and so on (pairs.c compares them). What was seen is a bitmap for up to 24 columns, else a hash set with a
 * cache in front. */
#define _DEFAULT_SOURCE       /* madvise */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define BITMAP_COLUMNS 24
#define BLOCK_BYTES 65536    /* of gathered rows, which stay in the cache */
#define HUGE_PAGE ((size_t)1 << 21)

/* ---- what was seen ---- */

/* Memory that is met in any order: in huge pages where it fills some, as the system has them. */
static void *allocate_pages(size_t size) {
    const size_t page = size < HUGE_PAGE ? 64 : HUGE_PAGE;
    void *memory = aligned_alloc(page, (size + page - 1) / page * page);
#ifdef MADV_HUGEPAGE
    if (memory && page == HUGE_PAGE) madvise(memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return memory;
}

static int grow_slots(evidence *e) {
    int W = e->key_words;
    int64_t old = e->slot_mask + 1, size = old * ((size_t)(old * W) * 8 < HUGE_PAGE ? 8 : 4);
    uint64_t *slots = allocate_pages((size_t)(size * W) * 8);
    if (!slots) return 0;
    memset(slots, 0, (size_t)(size * W) * 8);
    for (int64_t i = 0; i < old; i++) {
        const uint64_t *key = e->slots + i * W;
        uint64_t any = 0;
        for (int w = 0; w < W; w++) any |= key[w];
        if (!any) continue;
        int64_t at = (int64_t)(hash_key(key, W) >> 20) & (size - 1);
        for (;; at = (at + 1) & (size - 1)) {
            any = 0;
            for (int w = 0; w < W; w++) any |= slots[at * W + w];
            if (!any) break;
        }
        memcpy(slots + at * W, key, (size_t)W * 8);
    }
    free(e->slots);
    e->slots = slots;
    e->slot_mask = size - 1;
    return 1;
}

/* Append a key that is new, in the columns of the caller's table. */
static void append(evidence *e, const uint64_t *key) {
    if (e->count == e->capacity) {
        int64_t capacity = e->capacity * 2;
        uint64_t *masks = realloc(e->masks, (size_t)(capacity * e->words) * 8);
        if (!masks) {
            e->failed = 1;
            return;
        }
        e->masks = masks;
        e->capacity = capacity;
    }
    uint64_t *mask = e->masks + e->count++ * e->words;
    memset(mask, 0, (size_t)e->words * 8);
    if (e->spread) {
        for (int byte = 0; byte < 8; byte++) mask[0] |= e->spread[byte * 256 + (key[0] >> 8 * byte & 255)];
        return;
    }
    for (int w = 0; w < e->key_words; w++)
        for (uint64_t bits = key[w]; bits; bits &= bits - 1) {
            int32_t c = e->original[w * 64 + __builtin_ctzll(bits)];
            mask[c >> 6] |= 1ULL << (c & 63);
        }
}

INLINE void remember(evidence *e, const uint64_t *key, int W) {
    int64_t at = (int64_t)(hash_key(key, W) >> 20) & e->slot_mask;
    for (;; at = (at + 1) & e->slot_mask) {
        uint64_t *slot = e->slots + at * W, used = 0, other = 0;
        for (int w = 0; w < W; w++) used |= slot[w], other |= slot[w] ^ key[w];
        if (!other) return;
        if (!used) break;
    }
    memcpy(e->slots + at * W, key, (size_t)W * 8);
    if ((e->count + 1) * 2 > e->slot_mask && !grow_slots(e)) e->failed = 1;
    append(e, key);
}

void evidence_settle(evidence *e) {
    const int W = e->key_words;
    for (int32_t i = 0; i < e->waiting_count; i++) {
        if (W == 1) remember(e, e->waiting + i, 1);
        else remember(e, e->waiting + i * W, W);
    }
    e->waiting_count = 0;
}

/* Looking up a key in the hash set waits for memory: a few keys are looked up together. */
void evidence_insert(evidence *e, const uint64_t *key) {
    const int W = e->key_words;
    if (e->bitmap) {
        uint32_t bit = 1u << (key[0] & 31), *word = e->bitmap + (key[0] >> 5);
        if (*word & bit) return;
        *word |= bit;
        append(e, key);
        return;
    }
    uint64_t h = hash_key(key, W), any = 0;
    for (int w = 0; w < W; w++) any |= e->cache[(h >> (64 - CACHE_BITS)) * (uint64_t)W + (uint64_t)w] = key[w];
    if (!any) return;                                          /* duplicate rows differ nowhere: no evidence */
    __builtin_prefetch(e->slots + ((int64_t)(h >> 20) & e->slot_mask) * W);
    memcpy(e->waiting + e->waiting_count * W, key, (size_t)W * 8);
    if (++e->waiting_count == WAITING) evidence_settle(e);
}

/* ---- life ---- */

/* original: column of the masks for each tile column; bytes: per code of each, not ascending; words: of a mask. */
evidence *evidence_new(int64_t rows, int32_t columns, int32_t words, const int32_t *original, const int32_t *bytes,
                       int32_t portable) {
    evidence *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->rows = rows, e->columns = columns, e->words = words, e->portable = portable;
    e->key_words = (columns + 63) / 64;
    int32_t total = 0;
    for (int32_t t = 0; t < columns; t++) {
        total += bytes[t];
        if (bytes[t] > e->planes) e->planes = bytes[t];
        for (int32_t p = 0; p < bytes[t]; p++) e->plane_columns[p]++;
    }
    e->dense = total <= 64;
    int32_t at = 0;
    for (int32_t p = 0; p < e->planes; p++) {
        e->plane_offset[p] = at;
        at += e->dense ? e->plane_columns[p] : (e->plane_columns[p] + 15) / 16 * 16;
    }
    e->width = at ? (at + 15) / 16 * 16 : 16;
    e->capacity = 1024;
    e->original = malloc((size_t)columns * 4 + 4);
    e->position = malloc((size_t)words * 64 * 4);
    e->masks = malloc((size_t)(e->capacity * words) * 8);
    e->buffer_rows = BLOCK_BYTES / e->width;
    e->buffer = aligned_alloc(64, ((size_t)(e->buffer_rows * e->width) + 63) / 64 * 64 + 64);
    if (columns <= BITMAP_COLUMNS) {
        e->bitmap = calloc((((size_t)1 << columns) + 31) / 32, 4);
        if (e->bitmap) e->bitmap[0] = 1;                       /* duplicate rows differ nowhere: no evidence */
    } else {
        e->cache = calloc((size_t)e->key_words << CACHE_BITS, 8);
        e->slots = calloc((size_t)e->key_words * 4096, 8);
        e->slot_mask = 4095;
        e->waiting = malloc((size_t)e->key_words * WAITING * 8);
    }
    if (words == 1) e->spread = calloc(8 * 256, 8);
    e->failed = !e->original || !e->position || !e->masks || !e->buffer;
    e->failed |= !e->bitmap && (!e->cache || !e->slots || !e->waiting);
    e->failed |= words == 1 && !e->spread;
    if (e->failed) return e;
    for (int32_t c = 0; c < words * 64; c++) e->position[c] = -1;
    for (int32_t t = 0; t < columns; t++) {
        e->original[t] = original[t];
        e->position[original[t]] = t;
        for (int32_t byte = 0; byte < 256 && e->spread; byte++)
            if (byte >> (t & 7) & 1) e->spread[t / 8 * 256 + byte] |= 1ULL << original[t];
    }
    return e;
}

void evidence_frugal(evidence *e, int32_t frugal) { e->frugal = frugal; }

/* Where the rows are to lie: rows x width bytes at a multiple of 16; NULL: in memory of its own. */
void evidence_place(evidence *e, uint8_t *tile) {
    if (!tile) tile = e->own_tile = allocate_pages((size_t)((e->rows + 1) * e->width));
    e->tile = tile;
    e->failed |= !tile;
}

void evidence_free(evidence *e) {
    if (!e) return;
    void *parts[] = {e->original, e->position, e->masks, e->own_tile, e->buffer, e->bitmap, e->cache, e->slots,
                     e->waiting,  e->spread,   e};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

/* Forget everything seen, but keep the tile. */
void evidence_reset(evidence *e) {
    e->count = 0;
    if (e->bitmap) {
        memset(e->bitmap, 0, (((size_t)1 << e->columns) + 31) / 32 * 4);
        e->bitmap[0] = 1;
    } else {
        memset(e->cache, 0, ((size_t)e->key_words << CACHE_BITS) * 8);
        memset(e->slots, 0, (size_t)((e->slot_mask + 1) * e->key_words) * 8);
    }
}

int64_t evidence_count(const evidence *e) { return e->count; }
int32_t evidence_failed(const evidence *e) { return e->failed; }
int32_t evidence_width(const evidence *e) { return e->width; }
const uint64_t *evidence_masks(const evidence *e) { return e->masks; }

/* Take over masks in the caller's numbering, such as those found by other ranks. */
void evidence_add(evidence *e, const uint64_t *masks, int64_t n) {
    uint64_t key[MAX_WORDS];
    for (int64_t i = 0; i < n; i++) {
        memset(key, 0, (size_t)e->key_words * 8);
        for (int w = 0; w < e->words; w++)
            for (uint64_t bits = masks[i * e->words + w]; bits; bits &= bits - 1) {
                int32_t t = e->position[w * 64 + __builtin_ctzll(bits)];
                if (t >= 0) key[t >> 6] |= 1ULL << (t & 63);
            }
        evidence_insert(e, key);
    }
    evidence_settle(e);
}

