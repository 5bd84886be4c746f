/* Products of sparse rows (CSR) with a dense matrix, dropping entries of the sparse one on the way.
 *
 * Dropout decides about an entry from a hash of (key, global row, column) alone, so neither the order of the work nor
 * the partition changes it, no mask is ever stored, and forward and backward agree by construction. Backward multiplies
 * with the transpose of the same rows: no second matrix is kept.
 */
#include "processor.h"

#include <stddef.h>
#include <stdint.h>

#define GOLDEN 0x9E3779B9U
#define BATCH 256 /* entries that are sifted together, so that the product runs without a branch on chance */

#define AHEAD 32 /* entries between asking for a dense row and using it */
#define LINE_BYTES 64 /* that come from memory together */
#define SHORT 16 /* numbers of a dense row that fit the registers */
#ifdef __GNUC__
#define IS_CONSTANT(value) __builtin_constant_p(value)
#else
#define IS_CONSTANT(value) 0
#endif

/* A bijective 32-bit mixer of low bias (Wellons 2018, "lowbias32"). */
INLINE uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

INLINE int is_kept(uint32_t key, int32_t column, uint32_t threshold) {
    return mix(key ^ ((uint32_t)column * GOLDEN)) >= threshold;
}

/* keys (rows): what dropout hashes with the column, from the global numbers of the rows. */
PER_PROCESSOR void mpiedge_row_keys(int64_t rows, const int64_t *names, uint32_t key_a, uint32_t key_b, uint32_t *keys) {
    for (int64_t r = 0; r < rows; r++)
        keys[r] = mix(mix((uint32_t)names[r] ^ key_a) ^ (uint32_t)((uint64_t)names[r] >> 32) ^ key_b);
}

/* Common widths as constants, among them few classes, turn the inner loop of the sum into registers (measured: 1.5x to 3x). */
#define BY_WIDTH(call) \
    switch (width) { \
        case 2: call(2); break; \
        case 3: call(3); break; \
        case 4: call(4); break; \
        case 5: call(5); break; \
        case 6: call(6); break; \
        case 7: call(7); break; \
        case 8: call(8); break; \
        case 16: call(16); break; \
        case 32: call(32); break; \
        default: call(width); \
    }
#define GATHER(constant) NAMED(gather)(columns, numbers, count, known, dense, out + place * width, constant)
#define SPREAD(constant) NAMED(spread)(columns, numbers, count, known, dense + place * width, out, constant)

#define PAIRS(constant) NAMED(add_pairs)(count, pairs, bits, dense, out, constant)

#define MULTIPLY(is_far, is_back) \
    NAMED(multiply)(rows, width, indptr, indices, values, dense, out, places, scale, drop, is_far, is_back)

#define REAL float
#define NAMED(name) name
#include "sparse_product.h"
#undef REAL
#undef NAMED

#define REAL double
#define NAMED(name) name##_double
#include "sparse_product.h"
