/* Products of sparse rows (CSR) with a dense matrix, and with its transpose, dropping entries on the way.
 *
 * Dropout decides about an entry from a hash of (key, global row, column) alone, so neither the order of the work nor
 * the partition changes it, no mask is ever stored, and forward and backward agree by construction.
 */
#include <stddef.h>
#include <stdint.h>

#define BATCH 256 /* entries that are sifted together, so that the product runs without a branch on chance */

/* A bijective 32-bit mixer of low bias (Wellons 2018, "lowbias32"). */
static inline uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

static inline uint32_t row_key(int64_t row, uint32_t key_a, uint32_t key_b) {
    return mix(mix((uint32_t)row ^ key_a) ^ (uint32_t)((uint64_t)row >> 32) ^ key_b);
}

static inline int is_kept(uint32_t key, int32_t column, uint32_t threshold) {
    return mix(key ^ ((uint32_t)column * 0x9E3779B9U)) >= threshold;
}

/* The entries that dropout keeps of `count` entries of one row, in order; returns how many. values NULL: all ones. */
static inline int64_t sift(const int32_t *indices, const float *values, int64_t count, uint32_t key,
                           uint32_t threshold, float scale, int32_t *kept_columns, float *kept_values) {
    int64_t kept = 0;
    for (int64_t k = 0; k < count; k++) {
        kept_columns[kept] = indices[k];
        kept_values[kept] = (values ? values[k] : 1.0f) * scale;
        kept += is_kept(key, indices[k], threshold);
    }
    return kept;
}

/* One row's weighted sum of dense rows (gather), and the transpose of that (spread). */
static inline void gather(const int32_t *columns, const float *values, int64_t count, const float *restrict dense,
                          float *restrict target, int64_t width) {
    for (int64_t k = 0; k < count; k++) {
        const float *source = dense + (int64_t)columns[k] * width;
        float value = values ? values[k] : 1.0f;
        for (int64_t j = 0; j < width; j++) target[j] += value * source[j];
    }
}

static inline void spread(const int32_t *columns, const float *values, int64_t count, float *restrict out,
                          const float *restrict source, int64_t width) {
    for (int64_t k = 0; k < count; k++) {
        float *target = out + (int64_t)columns[k] * width;
        float value = values ? values[k] : 1.0f;
        for (int64_t j = 0; j < width; j++) target[j] += value * source[j];
    }
}

/* Common widths as constants turn the inner loop of the sum into registers (measured: 1.5x to 2x). */
#define GATHER(constant) gather(columns, numbers, count, dense, out + r * width, constant)

/* transposed 0: out (rows x width) += X dense. transposed 1: out (columns x width) += transpose(X) dense.
 * values NULL: all ones. threshold 0: no dropout, and names (the global numbers of the rows) are not used. */
void mpiedge_sparse_product(int transposed, int64_t rows, int64_t width, const int64_t *indptr, const int32_t *indices,
                            const float *values, const float *dense, float *out, const int64_t *names, uint32_t key_a,
                            uint32_t key_b, uint32_t threshold, float scale) {
    int32_t kept_columns[BATCH];
    float kept_values[BATCH];
    for (int64_t r = 0; r < rows; r++) {
        uint32_t key = threshold ? row_key(names[r], key_a, key_b) : 0;
        int64_t step = threshold ? BATCH : indptr[r + 1] - indptr[r];
        for (int64_t k = indptr[r]; k < indptr[r + 1]; k += step) {
            int64_t count = indptr[r + 1] - k < step ? indptr[r + 1] - k : step;
            const int32_t *columns = indices + k;
            const float *numbers = values ? values + k : NULL;
            if (threshold) {
                count = sift(columns, numbers, count, key, threshold, scale, kept_columns, kept_values);
                columns = kept_columns;
                numbers = kept_values;
            }
            if (transposed) {
                spread(columns, numbers, count, out, dense + r * width, width);
            } else {
                switch (width) {
                    case 4: GATHER(4); break;
                    case 8: GATHER(8); break;
                    case 16: GATHER(16); break;
                    case 32: GATHER(32); break;
                    default: GATHER(width);
                }
            }
        }
    }
}

/* out (rows x width): scale where an entry of a dense matrix is kept, else 0. */
void mpiedge_dropout_mask(int64_t rows, int64_t width, const int64_t *names, float *out, uint32_t key_a, uint32_t key_b,
                          uint32_t threshold, float scale) {
    for (int64_t r = 0; r < rows; r++) {
        uint32_t key = row_key(names[r], key_a, key_b);
        for (int64_t j = 0; j < width; j++) out[r * width + j] = is_kept(key, (int32_t)j, threshold) ? scale : 0.0f;
    }
}
