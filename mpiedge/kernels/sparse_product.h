/* Products of sparse rows for numbers of type REAL, under names that NAMED makes: included once for each type. */

typedef struct {
    const uint32_t *keys; /* of the rows, or NULL: no dropout */
    uint32_t threshold;
    REAL scale;
} NAMED(dropout);

/* The entries that dropout keeps of `count` entries of row r, in order; returns how many. values NULL: all ones.
 * Hashes first, so that the processor computes several at a time and waits for no decision. */
INLINE int64_t NAMED(sift)(const int32_t *indices, const REAL *values, int64_t count, int64_t r, NAMED(dropout) drop,
                    int32_t *kept_columns, REAL *kept_values) {
    uint32_t key = drop.keys[r], hashes[BATCH];
    int64_t kept = 0;
    for (int64_t k = 0; k < count; k++) hashes[k] = mix(key ^ ((uint32_t)indices[k] * GOLDEN));
    for (int64_t k = 0; k < count; k++) {
        kept_columns[kept] = indices[k];
        kept_values[kept] = (values ? values[k] : 1) * drop.scale;
        kept += hashes[k] >= drop.threshold;
    }
    return kept;
}

/* Asks for a dense row that a later entry needs: waiting for far memory was most of the time of a product. */
INLINE void NAMED(fetch)(const REAL *row, int64_t width) {
#ifdef __GNUC__
    for (int64_t j = 0; j < width; j += LINE_BYTES / (int64_t)sizeof(REAL)) __builtin_prefetch(row + j);
    __builtin_prefetch(row + width - 1);
#endif
}

/* Of a short constant width all sums come before the first store: else gcc, to which target and source may be the same
 * once this is put into its callers, adds up number by number. */
INLINE void NAMED(add)(REAL *restrict target, const REAL *restrict source, const REAL *values, int64_t k, int64_t width) {
    REAL value = values ? values[k] : 1, sums[SHORT];
    if (IS_CONSTANT(width) && width <= SHORT) {
        for (int64_t j = 0; j < width; j++) sums[j] = target[j] + value * source[j];
        for (int64_t j = 0; j < width; j++) target[j] = sums[j];
    } else {
        for (int64_t j = 0; j < width; j++) target[j] += value * source[j];
    }
}

/* target += the sum of values[k] times row columns[k] of `dense`. known: entries that may be looked at ahead. Two loops, as
 * a decision within the first one made it half as fast. */
INLINE void NAMED(gather)(const int32_t *columns, const REAL *values, int64_t count, int64_t known,
                   const REAL *restrict dense, REAL *restrict target, int64_t width) {
    int64_t ahead = known - AHEAD < count ? known - AHEAD : count, k = 0;
    for (; k < ahead; k++) {
        NAMED(fetch)(dense + (int64_t)columns[k + AHEAD] * width, width);
        NAMED(add)(target, dense + (int64_t)columns[k] * width, values, k, width);
    }
    for (; k < count; k++) NAMED(add)(target, dense + (int64_t)columns[k] * width, values, k, width);
}

/* The transpose: row columns[k] of `out` += values[k] times source. */
INLINE void NAMED(spread)(const int32_t *columns, const REAL *values, int64_t count, int64_t known,
                   const REAL *restrict source, REAL *restrict out, int64_t width) {
    int64_t ahead = known - AHEAD < count ? known - AHEAD : count, k = 0;
    for (; k < ahead; k++) {
        NAMED(fetch)(out + (int64_t)columns[k + AHEAD] * width, width);
        NAMED(add)(out + (int64_t)columns[k] * width, source, values, k, width);
    }
    for (; k < count; k++) NAMED(add)(out + (int64_t)columns[k] * width, source, values, k, width);
}

/* out, row pair >> bits, += dense, row of the lower bits, for every pair: rows of `out` are asked for ahead, those of `dense`
 * are few enough to lie near. */
INLINE void NAMED(add_pairs)(int64_t count, const uint32_t *pairs, int32_t bits, const REAL *restrict dense, REAL *restrict out,
                             int64_t width) {
    const uint32_t lower = ((uint32_t)1 << bits) - 1;
    int64_t k = 0;
    for (; k < count - AHEAD; k++) {
        NAMED(fetch)(out + (int64_t)(pairs[k + AHEAD] >> bits) * width, width);
        NAMED(add)(out + (int64_t)(pairs[k] >> bits) * width, dense + (int64_t)(pairs[k] & lower) * width, NULL, k, width);
    }
    for (; k < count; k++)
        NAMED(add)(out + (int64_t)(pairs[k] >> bits) * width, dense + (int64_t)(pairs[k] & lower) * width, NULL, k, width);
}

PER_PROCESSOR void NAMED(mpiedge_add_pairs)(int64_t count, int64_t width, const uint32_t *pairs, int32_t bits, const REAL *dense,
                                            REAL *out) {
    BY_WIDTH(PAIRS)
}

/* back, far: constants where it is called, so that nothing is decided row by row. */
INLINE void NAMED(multiply)(int64_t rows, int64_t width, const int64_t *indptr, const int32_t *indices, const REAL *values,
                     const REAL *dense, REAL *out, const int64_t *places, const REAL *scale, NAMED(dropout) drop, int far,
                     int back) {
    int32_t kept_columns[BATCH];
    REAL kept_values[BATCH];
    for (int64_t r = 0; r < rows; r++) {
        int64_t place = places ? places[r] : r;
        int64_t step = drop.keys ? BATCH : indptr[r + 1] - indptr[r];
        for (int64_t k = indptr[r]; k < indptr[r + 1]; k += step) {
            int64_t count = indptr[r + 1] - k < step ? indptr[r + 1] - k : step;
            const int32_t *columns = indices + k;
            const REAL *numbers = values ? values + k : NULL;
            if (drop.keys) {
                count = NAMED(sift)(columns, numbers, count, r, drop, kept_columns, kept_values);
                columns = kept_columns;
                numbers = kept_values;
            }
            int64_t known = !far ? 0 : drop.keys ? count : indptr[rows] - k;
            if (back) BY_WIDTH(SPREAD) else BY_WIDTH(GATHER)
        }
        if (scale)
            for (int64_t j = 0; j < width; j++) out[place * width + j] *= scale[place];
    }
}

/* out[places[r]] += sparse row r times dense, then times scale[places[r]]; back: out += transpose of the sparse rows times
 * the rows places[r] of dense. places NULL: row r itself; scale NULL: 1; values NULL: all ones; far: what is reached by
 * column numbers is too large for near memory. */
PER_PROCESSOR void NAMED(mpiedge_sparse_product)(int64_t rows, int64_t width, const int64_t *indptr, const int32_t *indices,
                            const REAL *values, const REAL *dense, REAL *out, const int64_t *places,
                            const REAL *scale, const uint32_t *keys, uint32_t threshold, REAL kept_scale,
                            int far, int back) {
    NAMED(dropout) drop = {keys, threshold, kept_scale};
    if (back && far) MULTIPLY(1, 1);
    else if (back) MULTIPLY(0, 1);
    else if (far) MULTIPLY(1, 0);
    else MULTIPLY(0, 0);
}

/* out (rows x width): positive numbers of `in` that dropout keeps, times scale, else 0; what is undefined stays so. */
PER_PROCESSOR void NAMED(mpiedge_relu_dropout)(int64_t rows, int64_t width, const uint32_t *keys, const REAL *restrict in, REAL *restrict out,
                                               uint32_t threshold, REAL scale) {
    for (int64_t r = 0; r < rows; r++) {
        const REAL *restrict from = in + r * width;
        REAL *restrict to = out + r * width;
        uint32_t key = keys[r];
        for (int64_t j = 0; j < width; j++) to[j] = is_kept(key, (int32_t)j, threshold) ? scale : 0;
        for (int64_t j = 0; j < width; j++) {
            REAL positive = from[j] < 0 ? 0 : from[j]; /* no branch: nobody can foresee it */
            to[j] *= positive;
        }
    }
}

/* The gradient of the above (count numbers) from that of its outcome: in place, by the outcome. */
PER_PROCESSOR void NAMED(mpiedge_relu_dropout_back)(int64_t count, const REAL *restrict outcome, REAL *restrict gradient, REAL scale) {
    for (int64_t k = 0; k < count; k++) {
        REAL factor = outcome[k] != 0 ? scale : 0; /* no branch here, either */
        gradient[k] *= factor;
    }
}
