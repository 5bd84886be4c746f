/* The E step of Fellegi-Sunter: expected matches by column and level of agreement (plain version: expectation.py). */
#include <math.h>
#include <stdint.h>

#define LEVELS 16    /* the last is for missing cells */
#define GRAIN 0x1p26 /* probabilities are multiples of 1 / GRAIN, so that their sums are exact */
#define MOST 500.0   /* weights beyond it are as sure */
#define BLOCK 512

static inline int folded(uint8_t level) { return level < LEVELS - 1 ? level : LEVELS - 1; }

/* Adds to sums[columns * LEVELS + 1], by column and level and in all at the end, how many matches are expected among
 * pairs with these levels (by column, then pair), each counted counts[p] times. ratio: by column and level. */
void mpiedge_expectation(const uint8_t *levels, const int64_t *counts, int64_t columns, int64_t pairs, const double *ratio,
                         double log_odds, double *sums) {
    double match[BLOCK];
    for (int64_t start = 0; start < pairs; start += BLOCK) {
        int64_t size = pairs - start < BLOCK ? pairs - start : BLOCK;
        for (int64_t p = 0; p < size; p++) match[p] = 0.0;
        for (int64_t column = 0; column < columns; column++) {
            const uint8_t *level = levels + column * pairs + start;
            for (int64_t p = 0; p < size; p++) match[p] += ratio[column * LEVELS + folded(level[p])];
        }
        for (int64_t p = 0; p < size; p++) {
            double weight = fmin(fmax(log_odds + match[p], -MOST), MOST);
            match[p] = rint(1.0 / (1.0 + exp(-weight)) * GRAIN) / GRAIN * (double)counts[start + p];
            sums[columns * LEVELS] += match[p];
        }
        for (int64_t column = 0; column < columns; column++) {
            const uint8_t *level = levels + column * pairs + start;
            for (int64_t p = 0; p < size; p++) sums[column * LEVELS + folded(level[p])] += match[p];
        }
    }
}
