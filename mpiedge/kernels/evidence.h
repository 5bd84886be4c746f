/* The evidence of one table: its rows as byte tiles and the set of difference sets seen so far. */
#ifndef MPIEDGE_EVIDENCE_H
#define MPIEDGE_EVIDENCE_H

#include "processor.h"

#include <stdint.h>

#define CACHE_BITS 14        /* of the direct-mapped cache of keys */
#define WAITING 16           /* keys that are looked up together */
#define MAX_WORDS 64         /* 64-bit words of a set of columns, at most */

typedef struct evidence {
    int64_t rows;
    int32_t columns;         /* columns in the tile (constant columns are left out by the caller) */
    int32_t words;           /* 64-bit words of a stored mask: bit c = column c of the caller's table */
    int32_t key_words;       /* 64-bit words of a key: bit t = column t of the tile */
    int32_t width;           /* bytes per tile row, a multiple of 16 */
    int32_t planes;          /* 1..4: byte planes; plane p holds byte p of the first plane_columns[p] columns */
    int32_t plane_columns[4];
    int32_t plane_offset[4];
    int32_t dense;           /* planes follow each other without gaps and the whole row has at most 64 bytes */
    int32_t portable;        /* use the kernels without intrinsics */
    int32_t frugal;          /* keep of a star check only what tells of one more column that differs */
    int32_t *original;       /* tile column -> column of the caller's table */
    int32_t *position;       /* column of the caller's table -> tile column, -1 where it has none */
    uint8_t *tile, *own_tile; /* own_tile: to be freed with it */
    uint8_t *buffer;         /* gathered rows of one cluster */
    int64_t buffer_rows;
    uint32_t *bitmap;        /* up to 24 columns: one bit per possible key */
    uint64_t *cache;         /* more: direct-mapped keys in front of the hash set */
    uint64_t *slots;         /* open addressing, key_words per slot, an all-zero key marks an empty slot */
    int64_t slot_mask;
    uint64_t *waiting;       /* keys that are not in the cache and are to be looked up */
    int32_t waiting_count;
    uint64_t *spread;        /* masks of one word: the columns of each value of each byte of a key */
    uint64_t *masks;         /* what was seen, in order, `words` each */
    int64_t count, capacity;
    int32_t failed;          /* memory ran out; the results are not to be used */
} evidence;

INLINE uint64_t hash_key(const uint64_t *key, int words) {
    uint64_t h = 0;
    for (int w = 0; w < words; w++) {
        h = (h ^ key[w]) * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 32;
    }
    return h * 0xD6E8FEB86659FD93ULL;
}

/* The slow path of seeing a key: remember it, at the next call of `evidence_settle` at the latest, and, if it is new,
 * append its mask (in the caller's column numbers). */
void evidence_insert(evidence *e, const uint64_t *key);

/* Look up the keys that wait for it; whoever inserts calls it at the end. */
void evidence_settle(evidence *e);

/* All pairs of rows in the same cluster whose later member stands at a position in [first, last). */
void evidence_pairs(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, int64_t first,
                    int64_t last);

/* First row of each cluster against the others; ORs every difference into `violated` (`words` words). */
void evidence_star(evidence *e, const int32_t *rows, const int32_t *starts, int64_t clusters, uint64_t *violated);

/* Splits clusters by another column; returns the number of clusters with at least two rows. */
int64_t partition_refine(const int32_t *rows, const int32_t *starts, int64_t clusters, const void *codes,
                         int32_t itemsize, int32_t *count, int32_t *touched, int32_t *row_codes, int32_t *rows_out,
                         int32_t *starts_out, int64_t *pairs);

#endif
