/* Minimal hitting sets of difference sets: what is minimal for which right-hand side, and their enumeration. */
#include "processor.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CUTS 8          /* levels at which a search can be cut */

/* ---- minimal difference sets ----
 *
 * A set d with A in d is of no use for the right-hand side A when another set k with A in k lies inside d; it is enough
 * to look at those k that are minimal for A (induction over the size). Sets are taken by ascending size. The
 * minimal ones are listed for each A. A set found inside d covers all its columns, so few lists are gone through; it
 * moves towards the front of its list and is among those tried first, as the next sets are much like d. */

#define RECENT 64            /* sets that were found last: nearly all that lies inside the next set is among them */
#define BLOCK 32             /* sets of a list that are compared at once */

typedef struct {
    uint64_t *sets;
    int64_t count, capacity;
} list;

static int list_add(list *l, const uint64_t *set, int W) {
    if (l->count == l->capacity) {
        int64_t larger = l->capacity * 2 + 16;
        uint64_t *grown = realloc(l->sets, (size_t)(larger * W) * 8);
        if (!grown) return 0;
        l->sets = grown;
        l->capacity = larger;
    }
    memcpy(l->sets + l->count++ * W, set, (size_t)W * 8);
    return 1;
}

INLINE int size_of(const uint64_t *set, int W) {
    int size = 0;
    for (int w = 0; w < W; w++) size += __builtin_popcountll(set[w]);
    return size;
}

/* All ones where `set` has a member outside d, else 0. */
INLINE uint64_t outside(const uint64_t *set, const uint64_t *d, int W) {
    uint64_t any = 0;
    for (int w = 0; w < W; w++) any |= set[w] & ~d[w];
    return any ? ~0ULL : 0;
}

/* The number of the first set of the list that lies inside d, or how many there are. */
INLINE int64_t find_inside(const list *l, const uint64_t *d, int W) {
    int64_t at = 0;
    for (; at + BLOCK <= l->count; at += BLOCK) {
        uint64_t none = ~0ULL;
        for (int i = 0; i < BLOCK; i++) none &= outside(l->sets + (at + i) * W, d, W);
        if (!none) break;
    }
    while (at < l->count && outside(l->sets + at * W, d, W)) at++;
    return at;
}

/* Sets that were found inside others, in a ring. */
typedef struct {
    uint64_t *sets;
    int next;
} recent;

/* Takes out of `open` the members of all recent sets that lie inside d. */
INLINE void drop_recent(const recent *r, const uint64_t *d, uint64_t *open, int W) {
    for (int i = 0; i < RECENT; i++) {
        uint64_t keep = outside(r->sets + i * W, d, W);
        for (int w = 0; w < W; w++) open[w] &= ~r->sets[i * W + w] | keep;
    }
}

/* Puts into `use` those of `rights` for which d is minimal; returns whether there are any. */
INLINE int minimal_for(list *lists, recent *r, const uint64_t *d, const uint64_t *rights, uint64_t *use, int W) {
    uint64_t open[64], any = 0;
    for (int w = 0; w < W; w++) open[w] = d[w] & rights[w], use[w] = 0;
    drop_recent(r, d, open, W);
    for (int w = 0; w < W; w++)
        while (open[w]) {
            uint64_t bit = open[w] & -open[w];
            list *l = lists + w * 64 + __builtin_ctzll(bit);
            int64_t at = find_inside(l, d, W);
            if (at == l->count) {
                use[w] |= bit, open[w] &= ~bit, any = 1;
                continue;
            }
            uint64_t *found = l->sets + at * W, *ahead = l->sets + at / 2 * W, *kept = r->sets + r->next * W;
            r->next = (r->next + 1) % RECENT;
            for (int x = 0; x < W; x++) {
                uint64_t set = found[x];
                open[x] &= ~set;
                found[x] = ahead[x], ahead[x] = kept[x] = set;
            }
        }
    return any != 0;
}

static int list_by_use(list *lists, const uint64_t *set, const uint64_t *use, int W) {
    for (int w = 0; w < W; w++)
        for (uint64_t left = use[w]; left; left &= left - 1)
            if (!list_add(lists + w * 64 + __builtin_ctzll(left), set, W)) return 0;
    return 1;
}

INLINE int64_t minimise_as(const uint64_t *sets, int W, int64_t n, const uint32_t *order, const uint64_t *rights,
                           int32_t step, int64_t *kept, uint64_t *use, list *lists, recent *r) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t number = order[i];
        const uint64_t *set = sets + number * W;
        if (!minimal_for(lists, r, set, rights + number * step, use + count * W, W)) continue;
        if (!list_by_use(lists, set, use + count * W, W)) return -1;
        kept[count++] = number;
    }
    return count;
}

/* Puts the numbers of the sets into `order`, by ascending size; those of one size stay in their order. */
INLINE void order_by_size(const uint64_t *sets, int W, int64_t n, uint32_t *order) {
    int64_t next[64 * 64 + 2] = {0};
    for (int64_t i = 0; i < n; i++) next[size_of(sets + i * W, W) + 1]++;
    for (int size = 0; size < W * 64; size++) next[size + 1] += next[size];
    for (int64_t i = 0; i < n; i++) order[next[size_of(sets + i * W, W)]++] = (uint32_t)i;
}

/* rights: the right-hand sides looked at, those of set i at i * step (0 or words); kept, use: numbers of the sets that are minimal for some, and for which, with
 * room for n of them; returns how many there are, -1 without memory. */
PER_PROCESSOR int64_t hitting_minimise(const uint64_t *sets, int32_t words, int64_t n, const uint64_t *rights,
                                       int32_t step, int64_t *kept, uint64_t *use) {
    list *lists = calloc((size_t)words * 64, sizeof(list));
    recent r = {calloc((size_t)words * RECENT, 8), 0};         /* empty sets, which take nothing out */
    int64_t count = -1;
    uint32_t *order = malloc((size_t)n * sizeof(uint32_t) + 1);
    if (lists && r.sets && order) {
        order_by_size(sets, words, n, order);
        if (words == 1) count = minimise_as(sets, 1, n, order, rights, step, kept, use, lists, &r);
        else if (words == 2) count = minimise_as(sets, 2, n, order, rights, step, kept, use, lists, &r);
        else if (words == 4) count = minimise_as(sets, 4, n, order, rights, step, kept, use, lists, &r);
        else count = minimise_as(sets, words, n, order, rights, step, kept, use, lists, &r);
        for (int32_t c = 0; c < words * 64; c++) free(lists[c].sets);
    }
    free(lists), free(r.sets), free(order);
    return count;
}

/* covered[i] = 1 where one of the closed sets lies inside set i. */
void hitting_covered(const uint64_t *sets, int64_t n, int32_t words, const uint64_t *closed, int64_t closed_count,
                     uint8_t *covered) {
    for (int64_t i = 0; i < n; i++) {
        covered[i] = 0;
        for (int64_t k = 0; k < closed_count && !covered[i]; k++) {
            uint64_t outside = 0;
            for (int w = 0; w < words; w++) outside |= closed[k * words + w] & ~sets[i * words + w];
            covered[i] = !outside;
        }
    }
}

/* ---- MMCS (Murakami & Uno 2014) ----
 *
 * Level d holds the choice of d vertices, the edges it does not hit yet, and for each chosen vertex the edges only it
 * hits (its critical edges; a choice where one has none left is not minimal). Branch over the vertices of the uncovered
 * edge with the fewest candidates. Edge sets are bitsets, so one step is a few words per chosen vertex. */

typedef struct {
    uint64_t *uncovered;     /* edges */
    uint64_t *critical;      /* depth x edges */
    uint64_t *candidates;    /* vertices that may still be chosen below */
    uint64_t *branch;        /* vertices to try here */
    int32_t vertex;          /* the vertex being tried here */
    int32_t number;          /* and its number among all that were to be tried here */
} level;

typedef struct hitting {
    int64_t edges;
    int32_t words, edge_words, largest, vertices;
    uint64_t *edge;          /* edges x words */
    uint64_t *incidence;     /* vertex -> bitset of the edges that hold it */
    level *levels;
    int32_t allocated, top;  /* top: -1 finished, else the level to go on with */
    int32_t path[MOST_CUTS], path_length;                      /* number of the one vertex to try at the first levels */
    uint64_t *sets;
    int64_t count, capacity;
    int32_t failed;
} hitting;

void hitting_free(hitting *h) {
    if (!h) return;
    for (int32_t d = 0; d < h->allocated; d++) free(h->levels[d].uncovered);
    free(h->edge), free(h->incidence), free(h->levels), free(h->sets), free(h);
}

static int add_level(hitting *h) {
    int32_t d = h->allocated;
    size_t E = (size_t)h->edge_words, W = (size_t)h->words;
    uint64_t *block = calloc(E * (size_t)(d + 1) + 2 * W, 8);
    if (!block) return 0;
    h->levels[d].uncovered = block;
    h->levels[d].critical = block + E;
    h->levels[d].candidates = block + E * (size_t)(d + 1);
    h->levels[d].branch = h->levels[d].candidates + W;
    h->allocated++;
    return 1;
}

/* Pick the uncovered edge with the fewest candidates and branch over them; 0 when an edge has none left. */
INLINE int choose(hitting *h, level *l, int W) {
    int best = 1 << 30;
    int64_t edge = -1;
    for (int32_t x = 0; x < h->edge_words && best > 1; x++)
        for (uint64_t bits = l->uncovered[x]; bits; bits &= bits - 1) {
            int64_t i = (int64_t)x * 64 + __builtin_ctzll(bits);
            int size = 0;
            for (int w = 0; w < W; w++) size += __builtin_popcountll(h->edge[i * W + w] & l->candidates[w]);
            if (size < best) {
                best = size;
                edge = i;
                if (best <= 1) break;
            }
        }
    if (best == 0) return 0;
    for (int w = 0; w < W; w++) {
        l->branch[w] = h->edge[edge * W + w] & l->candidates[w];
        l->candidates[w] &= ~l->branch[w];
    }
    l->number = -1;
    return 1;
}

/* edges: n x words, none empty, none inside another; largest: size limit of a hitting set; path: follow only the vertex
 * of this number at each of the first levels. Each minimal hitting set is found in exactly one of the branches. */
hitting *hitting_new(const uint64_t *edges, int64_t n, int32_t words, int32_t largest, const int32_t *path,
                     int32_t path_length) {
    hitting *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->edges = n, h->words = words, h->edge_words = (int32_t)((n + 63) / 64), h->vertices = words * 64;
    h->largest = largest < h->vertices ? largest : h->vertices;
    h->path_length = path_length < MOST_CUTS ? path_length : MOST_CUTS;
    for (int32_t d = 0; d < h->path_length; d++) h->path[d] = path[d];
    h->edge = malloc((size_t)(n * words + 1) * 8);
    h->incidence = calloc((size_t)h->vertices * (size_t)(h->edge_words + 1), 8);
    h->levels = calloc((size_t)h->vertices + 1, sizeof(level));
    h->capacity = 64;
    h->sets = malloc((size_t)(h->capacity * words) * 8);
    if (!h->edge || !h->incidence || !h->levels || !h->sets || !add_level(h)) {
        h->failed = 1;
        return h;
    }
    memcpy(h->edge, edges, (size_t)(n * words) * 8);
    level *l = h->levels;
    for (int64_t i = 0; i < n; i++) {
        l->uncovered[i >> 6] |= 1ULL << (i & 63);
        for (int w = 0; w < words; w++) {
            l->candidates[w] |= edges[i * words + w];
            for (uint64_t bits = edges[i * words + w]; bits; bits &= bits - 1) {
                uint64_t *in = h->incidence + (int64_t)(w * 64 + __builtin_ctzll(bits)) * h->edge_words;
                in[i >> 6] |= 1ULL << (i & 63);
            }
        }
    }
    if (n == 0) {                                              /* nothing to hit: the empty set */
        memset(h->sets, 0, (size_t)words * 8);
        h->count = 1;
        h->top = -1;
    } else if (h->largest < 1 || !choose(h, l, words)) {
        h->top = -1;
    }
    return h;
}

static int emit(hitting *h, int32_t depth) {
    if (h->count == h->capacity) {
        uint64_t *grown = realloc(h->sets, (size_t)(h->capacity * 2 * h->words) * 8);
        if (!grown) return 0;
        h->sets = grown;
        h->capacity *= 2;
    }
    uint64_t *set = h->sets + h->count++ * h->words;
    memset(set, 0, (size_t)h->words * 8);
    for (int32_t d = 0; d <= depth; d++) set[h->levels[d].vertex >> 6] |= 1ULL << (h->levels[d].vertex & 63);
    return 1;
}

INLINE int64_t run_as(hitting *h, int64_t budget, int E, int W) {
    int64_t steps = 0;
    while (h->top >= 0 && steps < budget) {
        int32_t d = h->top;
        level *l = h->levels + d;
        int w = 0;
        while (w < W && !l->branch[w]) w++;
        if (w == W) {                                          /* back: the vertex above is free again from here on */
            if (--h->top >= 0) {
                level *up = h->levels + h->top;
                up->candidates[up->vertex >> 6] |= 1ULL << (up->vertex & 63);
            }
            continue;
        }
        steps++;
        int v = w * 64 + __builtin_ctzll(l->branch[w]);
        l->branch[w] &= l->branch[w] - 1;
        l->vertex = v;
        l->number++;
        int wanted = d < h->path_length ? h->path[d] : l->number;
        if (l->number > wanted) continue;
        if (d + 1 >= h->allocated && !add_level(h)) {
            h->failed = 1;
            return -1;
        }
        level *next = h->levels + d + 1;
        const uint64_t *in = h->incidence + (size_t)v * (size_t)h->edge_words;
        int minimal = 1;
        for (int32_t i = 0; i < d && minimal; i++) {
            uint64_t any = 0;
            for (int x = 0; x < E; x++) {
                uint64_t c = l->critical[(int64_t)i * E + x] & ~in[x];
                next->critical[(int64_t)i * E + x] = c;
                any |= c;
            }
            minimal = any != 0;
        }
        if (!minimal) continue;                                /* nor can v join any superset: it is not given back */
        if (l->number < wanted) {                              /* searched elsewhere; here it is free again */
            l->candidates[v >> 6] |= 1ULL << (v & 63);
            continue;
        }
        uint64_t left = 0;
        for (int x = 0; x < E; x++) {
            next->critical[(int64_t)d * E + x] = l->uncovered[x] & in[x];
            next->uncovered[x] = l->uncovered[x] & ~in[x];
            left |= next->uncovered[x];
        }
        if (left && d + 1 < h->largest) {
            memcpy(next->candidates, l->candidates, (size_t)W * 8);
            if (choose(h, next, W)) {
                h->top = d + 1;
                continue;
            }
        } else if (!left && !emit(h, d)) {
            h->failed = 1;
            return -1;
        }
        l->candidates[v >> 6] |= 1ULL << (v & 63);
    }
    return h->top >= 0 ? 1 : 0;
}

/* Go on for about `budget` steps: 1 = more to do, 0 = finished, -1 = out of memory. */
PER_PROCESSOR int32_t hitting_run(hitting *h, int64_t budget) {
    if (h->failed) return -1;
    if (h->words == 1) return (int32_t)run_as(h, budget, h->edge_words, 1);
    if (h->words == 2) return (int32_t)run_as(h, budget, h->edge_words, 2);
    if (h->words == 4) return (int32_t)run_as(h, budget, h->edge_words, 4);
    return (int32_t)run_as(h, budget, h->edge_words, h->words);
}

/* Leave all other branches to others, at the first level that has any: path: the numbers of the vertices tried above it,
 * range: the numbers [range[0], range[1]) left to others there. Returns the level, -1 when there is nothing to leave. */
int32_t hitting_cut(hitting *h, int32_t *path, int32_t *range) {
    for (int32_t d = 0; d <= h->top && d < MOST_CUTS; d++) {
        level *l = h->levels + d;
        int32_t left = 0;
        for (int32_t w = 0; w < h->words; w++) left += __builtin_popcountll(l->branch[w]);
        if (left && d >= h->path_length) {
            range[0] = l->number + 1, range[1] = l->number + 1 + left;
            memset(l->branch, 0, (size_t)h->words * 8);
            return d;
        }
        path[d] = l->number;
    }
    return -1;
}

int64_t hitting_count(const hitting *h) { return h->count; }
const uint64_t *hitting_sets(const hitting *h) { return h->sets; }
int32_t hitting_failed(const hitting *h) { return h->failed; }
