/* How much of one record's words another record covers, with near-equal words as partners (plain version: coverage.py). */
#include <stdint.h>
#include <stdlib.h>

/* Record r has the distinct words words[indptr[r]] .. words[indptr[r + 1] - 1]. Word w has the partners
 * partner[start[w]] .. with their strength (itself is one, strength 1). covered[p] = share of the weight of the words of
 * a[p] that have partners among the words of b[p]; a word's strengths add up to 1 at most. Returns -1: no memory. */
int mpiedge_coverage(const int64_t *indptr, const int32_t *words, const int64_t *start, const int32_t *partner,
                     const float *strength, const double *weight, int64_t vocabulary, const int32_t *a,
                     const int32_t *b, int64_t pairs, double *covered) {
    uint8_t *present = calloc(vocabulary + 1, 1);
    if (!present) return -1;
    for (int64_t p = 0; p < pairs; p++) {
        double whole = 0.0, found = 0.0;
        for (int64_t at = indptr[b[p]]; at < indptr[b[p] + 1]; at++) present[words[at]] = 1;
        for (int64_t at = indptr[a[p]]; at < indptr[a[p] + 1]; at++) {
            int32_t word = words[at];
            double sum = 0.0;
            for (int64_t k = start[word]; k < start[word + 1]; k++)
                if (present[partner[k]]) sum += (double)strength[k];
            whole += weight[word];
            found += weight[word] * (sum < 1.0 ? sum : 1.0);
        }
        covered[p] = whole > 0.0 ? found / whole : 0.0;
        for (int64_t at = indptr[b[p]]; at < indptr[b[p] + 1]; at++) present[words[at]] = 0;
    }
    free(present);
    return 0;
}
