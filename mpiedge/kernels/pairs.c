/* Pairs of rows: each is a byte compare of two tiles and a move-mask, the byte planes folded onto each other. The key
 * that results is tested against what was seen: a pair costs a few nanoseconds, and only a new key costs more. */
#include "evidence.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define AHEAD 64             /* rows to fetch ahead of their use */

/* ---- 16 bytes: bit k set where byte k of a and b differ (or are equal) ---- */

INLINE uint64_t load8(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

INLINE uint64_t differ8(uint64_t a, uint64_t b) {
    const uint64_t low = 0x7f7f7f7f7f7f7f7fULL;
    uint64_t x = a ^ b;
    x = ((((x & low) + low) | x) & ~low) >> 7;                 /* bit 0 of each byte: differs */
    return (x * 0x0102040810204080ULL) >> 56;
}

INLINE uint64_t differ16_portable(const uint8_t *a, const uint8_t *b) {
    return differ8(load8(a), load8(b)) | differ8(load8(a + 8), load8(b + 8)) << 8;
}

#if defined(__SSE2__)
typedef __m128i lane;
INLINE lane load(const uint8_t *p) { return _mm_load_si128((const __m128i *)p); }
INLINE uint64_t equal16(lane a, const uint8_t *b) { return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, load(b))); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
typedef uint8x16_t lane;
INLINE lane load(const uint8_t *p) { return vld1q_u8(p); }
INLINE uint64_t equal16(lane a, const uint8_t *b) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bits = vandq_u8(vld1q_u8(weights), vceqq_u8(a, load(b)));
    bits = vpaddq_u8(bits, bits);
    bits = vpaddq_u8(bits, bits);
    bits = vpaddq_u8(bits, bits);
    return vgetq_lane_u16(vreinterpretq_u16_u8(bits), 0);
}
#else
typedef const uint8_t *lane;
INLINE lane load(const uint8_t *p) { return p; }
INLINE uint64_t equal16(lane a, const uint8_t *b) { return differ16_portable(a, b) ^ 0xffffu; }
#endif

INLINE uint64_t low_bits(int n) { return n >= 64 ? ~0ULL : (1ULL << n) - 1; }

/* What a comparison of dense rows needs, copied out of the evidence so that it stays in registers. */
typedef struct {
    uint64_t mask[4];
    int shift[4];
    uint32_t *bitmap;
    uint64_t *cache;
} view;

INLINE view view_of(const evidence *e) {
    view v = {{0}, {0}, e->bitmap, e->cache};
    for (int p = 0; p < 4; p++) v.mask[p] = low_bits(e->plane_columns[p]), v.shift[p] = e->plane_offset[p];
    return v;
}

/* Fold the planes of a dense row: a column differs where any of its bytes differs. */
INLINE uint64_t fold(const view *v, uint64_t d, int planes) {
    uint64_t key = d & v->mask[0];
    for (int p = 1; p < planes; p++) key |= (d >> v->shift[p]) & v->mask[p];
    return key;
}

/* By value, so that the key of the fast path never leaves its register. */
static __attribute__((noinline)) void insert_one(evidence *e, uint64_t key) { evidence_insert(e, &key); }

INLINE void see(evidence *e, const view *v, uint64_t key) {
    if (v->bitmap) {
        if (!(v->bitmap[key >> 5] >> (key & 31) & 1)) insert_one(e, key);
    } else if (v->cache[hash_key(&key, 1) >> (64 - CACHE_BITS)] != key) {
        insert_one(e, key);
    }
}

/* ---- one row against many ----
 *
 * The rows stand at b, b + width, ... or, with `list`, at tile + list[t] * width. Returns the OR of all keys. Inlined
 * for each width and number of planes, so that the first row stays in registers. */

INLINE uint64_t scan_dense(evidence *e, const view *v, const uint8_t *a, const uint8_t *b, const int32_t *list,
                           int64_t n, int64_t known, int vectors, int planes) {
    lane row[4];
    uint64_t all = 0;
    for (int i = 0; i < vectors; i++) row[i] = load(a + 16 * i);
    for (int64_t t = 0; t < n; t++) {
        const uint8_t *other = list ? b + list[t] * (int64_t)(16 * vectors) : b + t * (16 * vectors);
        if (list && t + AHEAD < known) __builtin_prefetch(b + list[t + AHEAD] * (int64_t)(16 * vectors));
        uint64_t equal = 0;
        for (int i = 0; i < vectors; i++) equal |= equal16(row[i], other + 16 * i) << (16 * i);
        uint64_t d = fold(v, ~equal, planes);
        all |= d;
        see(e, v, d);
    }
    return all;
}

/* The same for any layout and without intrinsics: keys of several words; ORs them into `any`. telling: pass over keys
 * that add nothing to `any`. */
static void scan_any(evidence *e, const uint8_t *a, const uint8_t *b, const int32_t *list, int64_t n, uint64_t *any,
                     int telling) {
    const int W = e->key_words;
    const view v = view_of(e);
    uint64_t key[MAX_WORDS];
    for (int64_t t = 0; t < n; t++) {
        const uint8_t *row = b + (list ? list[t] : t) * (int64_t)e->width;
        if (list && t + AHEAD < n)
            for (int32_t x = 0; x < e->width; x += 64) __builtin_prefetch(b + list[t + AHEAD] * (int64_t)e->width + x);
        memset(key, 0, (size_t)W * 8);
        if (e->dense) {
            for (int32_t x = 0; x < e->width; x += 16) key[0] |= differ16_portable(a + x, row + x) << x;
            key[0] = fold(&v, key[0], 4);
        } else {
            for (int p = 0; p < e->planes; p++) {
                const uint8_t *x = a + e->plane_offset[p], *y = row + e->plane_offset[p];
                for (int i = 0; i * 16 < e->plane_columns[p]; i++) {
                    uint64_t d = e->portable ? differ16_portable(x + 16 * i, y + 16 * i)
                                             : equal16(load(x + 16 * i), y + 16 * i) ^ 0xffffu;
                    key[i >> 2] |= d << (16 * (i & 3));
                }
            }
        }
        uint64_t more = 0;
        for (int w = 0; w < W; w++) more |= key[w] & ~any[w], any[w] |= key[w];
        if (telling && !more) continue;
        if (e->bitmap) {
            see(e, &v, key[0]);
            continue;
        }
        const uint64_t *cached = e->cache + (hash_key(key, W) >> (64 - CACHE_BITS)) * W;
        uint64_t other = 0;
        for (int w = 0; w < W; w++) other |= cached[w] ^ key[w];
        if (other) evidence_insert(e, key);
    }
}

/* ---- all pairs of a cluster ---- */

/* Copy n rows of `list` into the buffer; the list goes on to `known` rows, which are wanted next. width is a constant
 * where this is inlined for dense rows. */
INLINE void gather(evidence *e, const int32_t *list, int64_t n, int64_t known, int64_t width) {
    for (int64_t t = 0; t < n; t++) {
        if (t + AHEAD < known) __builtin_prefetch(e->tile + list[t + AHEAD] * width);
        memcpy(e->buffer + t * width, e->tile + list[t] * width, (size_t)width);
    }
}

/* scan_dense with constants, or scan_any when vectors is 0. */
INLINE void compare(evidence *e, const view *v, const uint8_t *a, const uint8_t *b, int64_t n, int vectors,
                    int planes) {
    uint64_t any[MAX_WORDS];
    if (vectors) {
        scan_dense(e, v, a, b, NULL, n, n, vectors, planes);
    } else {
        memset(any, 0, (size_t)e->key_words * 8);
        scan_any(e, a, b, NULL, n, any, 0);
    }
}

INLINE void pairs_as(evidence *e, const int32_t *rows, const int32_t *starts, int64_t from_cluster, int64_t clusters,
                     int64_t first, int64_t last, int vectors, int planes) {
    const int64_t width = vectors ? 16 * vectors : e->width, most = e->buffer_rows;
    const view v = view_of(e);
    for (int64_t k = from_cluster; k < clusters && starts[k] < last; k++) {
        int64_t start = starts[k], stop = starts[k + 1] < last ? starts[k + 1] : last;
        int64_t from = first > start ? first : start;
        if (stop - start == 2) {
            if (starts[k] + AHEAD < starts[clusters]) __builtin_prefetch(e->tile + rows[starts[k] + AHEAD] * width);
            const uint8_t *a = e->tile + rows[start] * width, *b = e->tile + rows[start + 1] * width;
            if (from < stop) compare(e, &v, a, b, 1, vectors, planes);
            continue;
        }
        for (int64_t block = start; block < stop; block += most) {             /* blocks stay in the cache */
            int64_t n = stop - block < most ? stop - block : most;
            gather(e, rows + block, n, starts[clusters] - block, width);
            for (int64_t p = from > block + 1 ? from : block + 1; p < block + n; p++) {
                if (p + n < starts[clusters]) __builtin_prefetch(e->tile + rows[p + n] * width);
                compare(e, &v, e->buffer + (p - block) * width, e->buffer, p - block, vectors, planes);
            }
            for (int64_t p = from > block + n ? from : block + n; p < stop; p++) {
                if (p + 4 < stop) __builtin_prefetch(e->tile + rows[p + 4] * width);
                compare(e, &v, e->tile + rows[p] * width, e->buffer, n, vectors, planes);
            }
        }
    }
}

INLINE void star_as(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, uint64_t *any,
                    int vectors, int planes) {
    const int64_t width = vectors ? 16 * vectors : e->width;
    const view v = view_of(e);
    for (int64_t k = 0; k < clusters; k++) {
        const uint8_t *row = e->tile + rows[starts[k]] * width;
        const int32_t *others = rows + starts[k] + 1;
        int64_t n = starts[k + 1] - starts[k] - 1;
        if (vectors) any[0] |= scan_dense(e, &v, row, e->tile, others, n, starts[clusters] - starts[k] - 1, vectors, planes);
        else scan_any(e, row, e->tile, others, n, any, e->frugal);
    }
}

/* One function per width and number of planes (3 and 4 planes alike: a missing plane has an empty mask). */
#define DISPATCH(call)                                                                     \
    switch (e->dense && !e->portable && !e->frugal ? e->width / 16 * 4 + (e->planes < 3 ? e->planes : 3) : 0) { \
        case 5: { call(1, 1); break; }                                                     \
        case 6: { call(1, 2); break; }                                                     \
        case 7: { call(1, 4); break; }                                                     \
        case 9: { call(2, 1); break; }                                                     \
        case 10: { call(2, 2); break; }                                                    \
        case 11: { call(2, 4); break; }                                                    \
        case 13: { call(3, 1); break; }                                                    \
        case 14: { call(3, 2); break; }                                                    \
        case 15: { call(3, 4); break; }                                                    \
        case 17: { call(4, 1); break; }                                                    \
        case 18: { call(4, 2); break; }                                                    \
        case 19: { call(4, 4); break; }                                                    \
        default: call(0, 0);                                                               \
    }

/* ---- sources of pairs ---- */

/* One pair of rows. */
void evidence_pair(evidence *e, int64_t i, int64_t j) {
    uint64_t any[MAX_WORDS] = {0};
    scan_any(e, e->tile + i * e->width, e->tile + j * e->width, NULL, 1, any, 0);
    evidence_settle(e);
}

INLINE uint32_t code_at(const void *codes, int itemsize, int64_t row) {
    if (itemsize == 1) return ((const uint8_t *)codes)[row];
    if (itemsize == 2) return ((const uint16_t *)codes)[row];
    return ((const uint32_t *)codes)[row];
}

INLINE void window_as(evidence *e, const void *codes, int32_t itemsize, int32_t *latest, int64_t start, int64_t stop,
                      int vectors, int planes) {
    const int64_t width = vectors ? 16 * vectors : e->width;
    const view v = view_of(e);
    for (int64_t i = start; i < stop; i++) {
        if (i + AHEAD < stop)
            __builtin_prefetch(e->tile + (int64_t)latest[code_at(codes, itemsize, i + AHEAD)] * width);
        int32_t *last = latest + code_at(codes, itemsize, i);
        if (*last) compare(e, &v, e->tile + i * width, e->tile + (*last - 1) * width, 1, vectors, planes);
        *last = (int32_t)(i + 1);
    }
}

/* Each row of [start, stop) against the latest earlier one with the same code. latest: zeros, one per code. */
void evidence_window(evidence *e, const void *codes, int32_t itemsize, int32_t *latest, int64_t start, int64_t stop) {
#define WINDOW(vectors, planes) window_as(e, codes, itemsize, latest, start, stop, vectors, planes)
    DISPATCH(WINDOW)
    evidence_settle(e);
}

void evidence_pairs(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, int64_t first,
                    int64_t last) {
    int64_t low = 0, high = clusters;                          /* the cluster that holds position `first` */
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (starts[middle] <= first) low = middle;
        else high = middle;
    }
#define PAIRS(vectors, planes) pairs_as(e, rows, starts, low, clusters, first, last, vectors, planes)
    DISPATCH(PAIRS)
    evidence_settle(e);
}

void evidence_star(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, uint64_t *violated) {
    uint64_t any[MAX_WORDS] = {0};
#define STAR(vectors, planes) star_as(e, rows, starts, clusters, any, vectors, planes)
    DISPATCH(STAR)
    evidence_settle(e);
    for (int w = 0; w < e->key_words; w++)
        for (uint64_t bits = any[w]; bits; bits &= bits - 1) {
            int32_t c = e->original[w * 64 + __builtin_ctzll(bits)];
            violated[c >> 6] |= 1ULL << (c & 63);
        }
}
