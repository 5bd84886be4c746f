/* The E step of Fellegi-Sunter: expected matches by column and level of agreement (plain version: expectation.py). */
#include <math.h>
#include <stdint.h>

#define LEVELS 16      /* the last is for missing cells */
#define GRAIN 0x1p26   /* probabilities are multiples of 1 / GRAIN, so that their sums are exact */
#define HOPELESS -18.8 /* a weight whose probability is below half of that */
#define MOST 500.0     /* weights beyond it are as sure */

/* rows[pair * width ..]: the levels of a pair, two columns a byte, the first in the low bits; 0 counts as 1.
 * levels: by column, then pair; rows: zeros. */
void mpiedge_pack_levels(const uint8_t *levels, int64_t columns, int64_t pairs, int64_t width, uint8_t *rows) {
    for (int64_t column = 0; column < columns; column++)
        for (int64_t p = 0; p < pairs; p++) {
            uint8_t level = levels[column * pairs + p];
            level = level >= LEVELS ? LEVELS - 1 : level ? level : 1;
            rows[p * width + column / 2] |= (uint8_t)(column % 2 ? level << 4 : level);
        }
}

/* Adds to sums[columns * LEVELS + 1], by column and level and in all at the end, how many matches are expected among
 * packed pairs, each counted counts[p] times. evidence[byte * 256 + value]: of the two columns of a byte. */
void mpiedge_expectation(const uint8_t *rows, const int64_t *counts, int64_t columns, int64_t pairs, int64_t width,
                         const double *evidence, double log_odds, double *sums) {
    int64_t bytes = (columns + 1) / 2;
    for (int64_t p = 0; p < pairs; p++, rows += width) {
        double weight = 0.0;
        for (int64_t byte = 0; byte < bytes; byte++) weight += evidence[byte * 256 + rows[byte]];
        weight += log_odds;
        if (weight < HOPELESS) continue;
        double match = rint(GRAIN / (1.0 + exp(-fmin(weight, MOST)))) / GRAIN * (double)counts[p];
        for (int64_t column = 0; column < columns; column++)
            sums[column * LEVELS + (column % 2 ? rows[column / 2] >> 4 : rows[column / 2] & (LEVELS - 1))] += match;
        sums[columns * LEVELS] += match;
    }
}
