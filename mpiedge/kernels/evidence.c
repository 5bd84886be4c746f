/* Evidence: the set of difference sets (the columns in which two rows differ) of the row pairs looked at so far.
 *
 * One row is a tile of bytes: the low bytes of all columns, then the second bytes of the columns with more than 256
 * values, and so on. Comparing two rows is a byte compare and a move-mask; the planes are then folded onto each other.
 * The resulting key is tested against what was seen (a bitmap for up to 24 columns, else a cache in front of a hash
 * set), so a pair costs a few nanoseconds and only a new key costs more. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CACHE_BITS 14
#define BITMAP_COLUMNS 24
#define MAX_WORDS 64
#define AHEAD 16
#define BLOCK_BYTES 65536
#define INLINE static inline __attribute__((always_inline))

/* ---- equal bytes of 16: bit k set where byte k of a and b agree ---- */

INLINE uint64_t load8(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

INLINE uint32_t differ8(const uint8_t *a, const uint8_t *b) {
    const uint64_t low = 0x7f7f7f7f7f7f7f7fULL;
    uint64_t x = load8(a) ^ load8(b);
    x = ((((x & low) + low) | x) & ~low) >> 7;                 /* bit 0 of each byte: differs */
    return (uint32_t)((x * 0x0102040810204080ULL) >> 56);
}

INLINE uint32_t differ16_portable(const uint8_t *a, const uint8_t *b) {
    return differ8(a, b) | differ8(a + 8, b + 8) << 8;
}

#if defined(__SSE2__)
INLINE uint32_t differ16(const uint8_t *a, const uint8_t *b) {
    __m128i x = _mm_load_si128((const __m128i *)a), y = _mm_load_si128((const __m128i *)b);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) ^ 0xffffu;
}
#elif defined(__ARM_NEON) && defined(__aarch64__)
INLINE uint32_t differ16(const uint8_t *a, const uint8_t *b) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bits = vbicq_u8(vld1q_u8(weights), vceqq_u8(vld1q_u8(a), vld1q_u8(b)));
    bits = vpaddq_u8(bits, bits);
    bits = vpaddq_u8(bits, bits);
    bits = vpaddq_u8(bits, bits);
    return vgetq_lane_u16(vreinterpretq_u16_u8(bits), 0);
}
#else
#define differ16 differ16_portable
#endif

INLINE uint64_t differ(const uint8_t *a, const uint8_t *b, int vectors, int portable) {
    uint64_t d = 0;
    for (int v = 0; v < vectors; v++)
        d |= (uint64_t)(portable ? differ16_portable(a + 16 * v, b + 16 * v) : differ16(a + 16 * v, b + 16 * v)) << (16 * v);
    return d;
}

INLINE uint64_t low_bits(int n) { return n >= 64 ? ~0ULL : (1ULL << n) - 1; }

/* Fold the planes of a dense row: a column differs where any of its bytes differs. */
INLINE uint64_t fold(const evidence *e, uint64_t d, int planes) {
    uint64_t key = d & low_bits(e->plane_columns[0]);
    for (int p = 1; p < planes; p++) key |= (d >> e->plane_offset[p]) & low_bits(e->plane_columns[p]);
    return key;
}

/* ---- what was seen ---- */

INLINE uint64_t hash_key(const uint64_t *key, int words) {
    uint64_t h = 0;
    for (int w = 0; w < words; w++) {
        h = (h ^ key[w]) * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 32;
    }
    return h * 0xD6E8FEB86659FD93ULL;
}

static int grow_slots(evidence *e) {
    int W = e->key_words;
    int64_t old = e->slot_mask + 1, size = old * 4;
    uint64_t *slots = calloc((size_t)(size * W), 8);
    if (!slots) return 0;
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

/* The slow path: remember a key and, if it is new, append its mask in the caller's numbering of columns. */
static __attribute__((noinline)) void insert(evidence *e, const uint64_t *key) {
    int W = e->key_words;
    if (e->bitmap) {
        uint32_t bit = 1u << (key[0] & 31), *word = e->bitmap + (key[0] >> 5);
        if (*word & bit) return;
        *word |= bit;
    } else {
        uint64_t h = hash_key(key, W), any = 0;
        memcpy(e->cache + (h >> (64 - CACHE_BITS)) * W, key, (size_t)W * 8);
        for (int w = 0; w < W; w++) any |= key[w];
        if (!any) return;                                      /* duplicate rows differ nowhere: no evidence */
        int64_t at = (int64_t)(h >> 20) & e->slot_mask;
        for (;; at = (at + 1) & e->slot_mask) {
            uint64_t *slot = e->slots + at * W, used = 0, other = 0;
            for (int w = 0; w < W; w++) used |= slot[w], other |= slot[w] ^ key[w];
            if (!other) return;
            if (!used) break;
        }
        memcpy(e->slots + at * W, key, (size_t)W * 8);
        if ((e->count + 1) * 2 > e->slot_mask && !grow_slots(e)) {
            e->failed = 1;
            return;
        }
    }
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
    for (int w = 0; w < W; w++)
        for (uint64_t bits = key[w]; bits; bits &= bits - 1) {
            int32_t c = e->original[w * 64 + __builtin_ctzll(bits)];
            mask[c >> 6] |= 1ULL << (c & 63);
        }
}

INLINE void see(evidence *e, uint64_t key) {
    if (e->bitmap) {
        if (!(e->bitmap[key >> 5] >> (key & 31) & 1)) insert(e, &key);
    } else if (e->cache[hash_key(&key, 1) >> (64 - CACHE_BITS)] != key) {
        insert(e, &key);
    }
}

INLINE void see_wide(evidence *e, const uint64_t *key) {
    int W = e->key_words;
    const uint64_t *cached = e->cache + (hash_key(key, W) >> (64 - CACHE_BITS)) * W;
    uint64_t other = 0;
    for (int w = 0; w < W; w++) other |= cached[w] ^ key[w];
    if (other) insert(e, key);
}

/* ---- one row against many ---- */

/* The rows stand at b, b + width, ... or, with `list`, at tile + list[t] * width. `any` receives the OR of all keys. */
INLINE void scan_dense(evidence *e, const uint8_t *a, const uint8_t *b, const int32_t *list, int64_t n, int vectors,
                       int planes, int portable, uint64_t *any) {
    const int64_t width = 16 * vectors;
    uint64_t all = 0;
    for (int64_t t = 0; t < n; t++) {
        const uint8_t *row = b + t * width;
        if (list) {
            row = e->tile + list[t] * width;
            if (t + AHEAD < n) __builtin_prefetch(e->tile + list[t + AHEAD] * width);
        }
        uint64_t key = fold(e, differ(a, row, vectors, portable), planes);
        all |= key;
        see(e, key);
    }
    if (any) *any |= all;
}

static void scan_wide(evidence *e, const uint8_t *a, const uint8_t *b, const int32_t *list, int64_t n, uint64_t *any) {
    uint64_t key[MAX_WORDS];
    for (int64_t t = 0; t < n; t++) {
        const uint8_t *row = b + t * e->width;
        if (list) {
            row = e->tile + list[t] * (int64_t)e->width;
            if (t + AHEAD < n)
                for (int32_t x = 0; x < e->width; x += 64) __builtin_prefetch(e->tile + list[t + AHEAD] * (int64_t)e->width + x);
        }
        memset(key, 0, (size_t)e->key_words * 8);
        for (int p = 0; p < e->planes; p++) {
            const uint8_t *x = a + e->plane_offset[p], *y = row + e->plane_offset[p];
            for (int v = 0; v * 16 < e->plane_columns[p]; v++) {
                uint64_t d = e->portable ? differ16_portable(x + 16 * v, y + 16 * v) : differ16(x + 16 * v, y + 16 * v);
                key[v >> 2] |= d << (16 * (v & 3));
            }
        }
        if (any)
            for (int w = 0; w < e->key_words; w++) any[w] |= key[w];
        see_wide(e, key);
    }
}

#define CASE(v, p)                                                                       \
    case (v)*4 + (p):                                                                    \
        if (list) scan_dense(e, a, b, list, n, v, p, 0, any);                            \
        else scan_dense(e, a, b, NULL, n, v, p, 0, any);                                 \
        break;
#define CASES(v) CASE(v, 1) CASE(v, 2) CASE(v, 3) CASE(v, 4)

static void scan(evidence *e, const uint8_t *a, const uint8_t *b, const int32_t *list, int64_t n, uint64_t *any) {
    if (!e->dense) {
        scan_wide(e, a, b, list, n, any);
        return;
    }
    if (e->portable) {
        scan_dense(e, a, b, list, n, e->width / 16, e->planes, 1, any);
        return;
    }
    switch (e->width / 16 * 4 + e->planes) { CASES(1) CASES(2) CASES(3) CASES(4) }
}

/* ---- life ---- */

evidence *evidence_new(int64_t rows, int32_t columns, int32_t words, const int32_t *original, const int32_t *bytes, int32_t portable) {
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
    e->width = (at + 15) / 16 * 16;
    e->capacity = 1024;
    e->original = malloc((size_t)columns * 4);
    e->position = malloc((size_t)words * 64 * 4);
    e->masks = malloc((size_t)(e->capacity * words) * 8);
    int64_t size = ((rows + 1) * e->width + 63) / 64 * 64;
    e->tile = aligned_alloc(64, (size_t)size);
    e->buffer_rows = BLOCK_BYTES / e->width;
    e->buffer = aligned_alloc(64, ((size_t)(e->buffer_rows * e->width) + 63) / 64 * 64 + 64);
    if (columns <= BITMAP_COLUMNS) {
        e->bitmap = calloc((((size_t)1 << columns) + 31) / 32, 4);
        if (e->bitmap) e->bitmap[0] = 1;                       /* duplicate rows differ nowhere: no evidence */
    } else {
        e->cache = calloc((size_t)e->key_words << CACHE_BITS, 8);
        e->slots = calloc((size_t)e->key_words * 4096, 8);
        e->slot_mask = 4095;
    }
    if (!e->original || !e->position || !e->masks || !e->tile || !e->buffer || (!e->bitmap && (!e->cache || !e->slots))) e->failed = 1;
    if (e->failed) return e;
    for (int32_t c = 0; c < words * 64; c++) e->position[c] = -1;
    for (int32_t t = 0; t < columns; t++) {
        e->original[t] = original[t];
        e->position[original[t]] = t;
    }
    return e;
}

void evidence_free(evidence *e) {
    if (!e) return;
    void *parts[] = {e->original, e->position, e->masks, e->tile, e->buffer, e->bitmap, e->cache, e->slots, e};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

int64_t evidence_count(const evidence *e) { return e->count; }
int32_t evidence_failed(const evidence *e) { return e->failed; }
int32_t evidence_width(const evidence *e) { return e->width; }
const uint64_t *evidence_masks(const evidence *e) { return e->masks; }

#define FILL(type)                                                                         \
    for (int64_t i = first; i < last; i++) {                                               \
        uint32_t code = ((const type *)codes[t])[i];                                       \
        for (int p = 0; p < e->planes && t < e->plane_columns[p]; p++, code >>= 8)         \
            e->tile[i * e->width + e->plane_offset[p] + t] = (uint8_t)code;                \
    }

/* Write the tile of rows [start, stop); codes[t] points to the unsigned codes of tile column t. */
void evidence_fill(evidence *e, const void *const *codes, const int32_t *itemsize, int64_t start, int64_t stop) {
    for (int64_t first = start; first < stop; first += 512) {
        int64_t last = first + 512 < stop ? first + 512 : stop;
        memset(e->tile + first * e->width, 0, (size_t)((last - first) * e->width));
        for (int32_t t = 0; t < e->columns; t++) {
            if (itemsize[t] == 1) { FILL(uint8_t) }
            else if (itemsize[t] == 2) { FILL(uint16_t) }
            else { FILL(uint32_t) }
        }
    }
}

/* ---- sources of pairs ---- */

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
        insert(e, key);
    }
}

/* One pair of rows. */
void evidence_pair(evidence *e, int64_t i, int64_t j) {
    scan(e, e->tile + i * e->width, e->tile + j * e->width, NULL, 1, NULL);
}

#define WINDOW(type)                                                                       \
    for (int64_t i = start; i < stop; i++) {                                               \
        if (i + AHEAD < stop) {                                                            \
            int32_t then = latest[((const type *)codes)[i + AHEAD]];                       \
            if (then) __builtin_prefetch(e->tile + (int64_t)(then - 1) * e->width);        \
        }                                                                                  \
        uint32_t code = ((const type *)codes)[i];                                          \
        if (latest[code]) evidence_pair(e, i, latest[code] - 1);                           \
        latest[code] = (int32_t)(i + 1);                                                   \
    }

/* Each row of [start, stop) against the latest earlier one with the same code. latest: zeros, one per code. */
void evidence_window(evidence *e, const void *codes, int32_t itemsize, int32_t *latest, int64_t start, int64_t stop) {
    if (itemsize == 1) { WINDOW(uint8_t) }
    else if (itemsize == 2) { WINDOW(uint16_t) }
    else { WINDOW(uint32_t) }
}

/* Gather rows list[0..n) (or first.. when list is NULL) into the buffer. */
INLINE void gather(evidence *e, const int32_t *list, int64_t n) {
    const int64_t width = e->width;
    for (int64_t t = 0; t < n; t++) {
        if (t + AHEAD < n) __builtin_prefetch(e->tile + list[t + AHEAD] * width);
        memcpy(e->buffer + t * width, e->tile + list[t] * width, (size_t)width);
    }
}

void evidence_pairs(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, int64_t first, int64_t last) {
    int64_t low = 0, high = clusters;                          /* the cluster that holds position `first` */
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (starts[middle] <= first) low = middle;
        else high = middle;
    }
    const int64_t width = e->width;
    for (int64_t k = low; k < clusters && starts[k] < last; k++) {
        int64_t start = starts[k], stop = starts[k + 1] < last ? starts[k + 1] : last;
        int64_t from = first > start ? first : start;
        if (stop - start <= e->buffer_rows) {
            gather(e, rows + start, stop - start);
            for (int64_t p = from; p < stop; p++)
                scan(e, e->buffer + (p - start) * width, e->buffer, NULL, p - start, NULL);
            continue;
        }
        for (int64_t block = start; block < stop; block += e->buffer_rows) {   /* blocks stay in the cache */
            int64_t n = stop - block < e->buffer_rows ? stop - block : e->buffer_rows;
            gather(e, rows + block, n);
            for (int64_t p = from > block + 1 ? from : block + 1; p < stop; p++) {
                if (p + 4 < stop) __builtin_prefetch(e->tile + rows[p + 4] * width);
                scan(e, e->tile + rows[p] * width, e->buffer, NULL, p - block < n ? p - block : n, NULL);
            }
        }
    }
}

void evidence_star(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, uint64_t *violated) {
    uint64_t any[MAX_WORDS] = {0};
    for (int64_t k = 0; k < clusters; k++)
        scan(e, e->tile + rows[starts[k]] * (int64_t)e->width, NULL, rows + starts[k] + 1, starts[k + 1] - starts[k] - 1, any);
    for (int w = 0; w < e->key_words; w++)
        for (uint64_t bits = any[w]; bits; bits &= bits - 1) {
            int32_t c = e->original[w * 64 + __builtin_ctzll(bits)];
            violated[c >> 6] |= 1ULL << (c & 63);
        }
}
