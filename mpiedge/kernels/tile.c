/* The tile of evidence.h: codes by column become bytes by row.
 *
 * Of a block of rows the bytes of each place in a row are brought together first, then turned eight rows and eight
 * places at a time (the recursion by halves of Eklundh 1972 on 8 x 8 bytes). */
#include "evidence.h"

#include <string.h>

#define BLOCK_ROWS 256       /* a multiple of 8: the bytes of a block stay in the cache */

/* Byte `shift` / 8 of the codes of some rows. */
static void take_bytes(const void *codes, int32_t itemsize, int shift, int64_t count, uint8_t *to) {
    const uint16_t *halves = codes;
    const uint32_t *words = codes;
    if (itemsize == 1) memcpy(to, codes, (size_t)count);
    else if (itemsize == 2)
        for (int64_t i = 0; i < count; i++) to[i] = (uint8_t)(halves[i] >> shift);
    else
        for (int64_t i = 0; i < count; i++) to[i] = (uint8_t)(words[i] >> shift);
}

/* Byte j of word i changes places with byte i of word j. */
INLINE void turn(uint64_t x[8]) {
    static const uint64_t low[3] = {0x00000000ffffffffULL, 0x0000ffff0000ffffULL, 0x00ff00ff00ff00ffULL};
    for (int round = 0, half = 4; half; round++, half /= 2)
        for (int i = 0; i < 8; i++) {
            if (i & half) continue;
            uint64_t swap = (x[i] >> 8 * half ^ x[i + half]) & low[round];
            x[i + half] ^= swap;
            x[i] ^= swap << 8 * half;
        }
}

/* Write the tile of rows [start, stop); codes[t] points to the unsigned codes of tile column t. */
void evidence_fill(evidence *e, const void *const *codes, const int32_t *itemsize, int64_t start, int64_t stop) {
    uint8_t bytes[8][BLOCK_ROWS];
    uint64_t square[8];
    for (int64_t first = start; first < stop; first += BLOCK_ROWS) {
        const int64_t count = stop - first < BLOCK_ROWS ? stop - first : BLOCK_ROWS;
        for (int32_t at = 0; at < e->width; at += 8) {
            memset(bytes, 0, sizeof bytes);
            for (int p = 0; p < e->planes; p++)
                for (int place = 0; place < 8; place++) {
                    int32_t t = at + place - e->plane_offset[p];
                    if (t < 0 || t >= e->plane_columns[p]) continue;
                    const char *from = (const char *)codes[t] + first * itemsize[t];
                    take_bytes(from, itemsize[t], 8 * p, count, bytes[place]);
                }
            uint8_t *to = e->tile + first * e->width + at;
            for (int64_t row = 0; row < count; row += 8) {
                for (int place = 0; place < 8; place++) memcpy(&square[place], bytes[place] + row, 8);
                turn(square);
                for (int64_t i = 0; i < 8 && row + i < count; i++, to += e->width) memcpy(to, &square[i], 8);
            }
        }
    }
}
