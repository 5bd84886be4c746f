/* Products of sparse rows (CSR) with a dense matrix, dropping entries of the sparse one on the way.
 *
 * Dropout decides about an entry from a hash of (key, global row, column) alone, so neither the order of the work nor
 * the partition changes it, no mask is ever stored, and forward and backward agree by construction. A transpose is
 * stored and multiplied like any other matrix: adding up neighbours is twice as fast as spreading to them.
 */
#include <stddef.h>
#include <stdint.h>

#define GOLDEN 0x9E3779B9U
#define BATCH 256 /* entries that are sifted together, so that the product runs without a branch on chance */

#define INLINE static inline __attribute__((always_inline))

/* On x86-64 Linux the loader picks the version for the processor at hand; without fused sums, so both give the same. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define PER_PROCESSOR
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

typedef struct {
    const uint32_t *keys; /* of the rows of X, or NULL: no dropout */
    uint32_t threshold;
    float scale;
    int across; /* the sparse matrix is transpose(X): its columns are the rows of X */
} dropout;

/* The entries that dropout keeps of `count` entries of row r, in order; returns how many. values NULL: all ones.
 * Hashes first, so that the processor computes several at a time and waits for no decision. */
INLINE int64_t sift(const int32_t *indices, const float *values, int64_t count, int64_t r, dropout drop,
                    int32_t *kept_columns, float *kept_values) {
    uint32_t keys[BATCH], hashes[BATCH];
    int64_t kept = 0;
    if (drop.across)
        for (int64_t k = 0; k < count; k++) keys[k] = drop.keys[indices[k]] ^ ((uint32_t)r * GOLDEN);
    else
        for (int64_t k = 0; k < count; k++) keys[k] = drop.keys[r] ^ ((uint32_t)indices[k] * GOLDEN);
    for (int64_t k = 0; k < count; k++) hashes[k] = mix(keys[k]);
    for (int64_t k = 0; k < count; k++) {
        kept_columns[kept] = indices[k];
        kept_values[kept] = (values ? values[k] : 1.0f) * drop.scale;
        kept += hashes[k] >= drop.threshold;
    }
    return kept;
}

INLINE void gather(const int32_t *columns, const float *values, int64_t count, const float *restrict dense,
                   float *restrict target, int64_t width) {
    for (int64_t k = 0; k < count; k++) {
        const float *source = dense + (int64_t)columns[k] * width;
        float value = values ? values[k] : 1.0f;
        for (int64_t j = 0; j < width; j++) target[j] += value * source[j];
    }
}

/* Common widths as constants turn the inner loop of the sum into registers (measured: 1.5x to 2x). */
#define GATHER(constant) gather(columns, numbers, count, dense, target, constant)

/* out[targets[r]] += sparse row r times dense, then times scale[targets[r]]. targets NULL: row r itself; scale NULL: 1;
 * values NULL: all ones. */
PER_PROCESSOR void mpiedge_sparse_product(int64_t rows, int64_t width, const int64_t *indptr, const int32_t *indices,
                            const float *values, const float *dense, float *out, const int64_t *targets,
                            const float *scale, const uint32_t *keys, uint32_t threshold, float kept_scale,
                            int across) {
    int32_t kept_columns[BATCH];
    float kept_values[BATCH];
    dropout drop = {keys, threshold, kept_scale, across};
    for (int64_t r = 0; r < rows; r++) {
        int64_t place = targets ? targets[r] : r;
        float *target = out + place * width;
        int64_t step = keys ? BATCH : indptr[r + 1] - indptr[r];
        for (int64_t k = indptr[r]; k < indptr[r + 1]; k += step) {
            int64_t count = indptr[r + 1] - k < step ? indptr[r + 1] - k : step;
            const int32_t *columns = indices + k;
            const float *numbers = values ? values + k : NULL;
            if (keys) {
                count = sift(columns, numbers, count, r, drop, kept_columns, kept_values);
                columns = kept_columns;
                numbers = kept_values;
            }
            switch (width) {
                case 4: GATHER(4); break;
                case 8: GATHER(8); break;
                case 16: GATHER(16); break;
                case 32: GATHER(32); break;
                default: GATHER(width);
            }
        }
        if (scale)
            for (int64_t j = 0; j < width; j++) target[j] *= scale[place];
    }
}

/* out (rows x width): scale where an entry of a dense matrix is kept, else 0. */
PER_PROCESSOR void mpiedge_dropout_mask(int64_t rows, int64_t width, const uint32_t *keys, float *out, uint32_t threshold,
                          float scale) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < width; j++)
            out[r * width + j] = is_kept(keys[r], (int32_t)j, threshold) ? scale : 0.0f;
}
