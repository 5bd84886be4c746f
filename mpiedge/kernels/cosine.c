/* Cosine of character-gram TF-IDF vectors, in whole numbers.
 *
 * A document is a list of values (numbers into one flat UTF-8 buffer). Its grams are hashed to `bits` bits; weights are
 * whole numbers (1.0 = 2^15), products add up to 2^30 at most. Sums of whole numbers do not depend on their order, so a
 * cosine has the same bits for every block size, number of ranks and machine. The plain version is in cosine.py. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GRAMS 1
#define WORD_PAIRS 2
#define WHOLE_VALUES 4
#define VALUE_PAIRS 8
#define MOST_APART 3 /* columns between two whose values make a pair, at most */
#define ONE 32768.0
#define LARGEST_TF 64
#define NEAR 4
#define FAR 12

typedef struct {
    int64_t room, used; /* room: a power of two above twice the entries; used: entries in order of first appearance */
    uint32_t *key;      /* by slot: gram + 1, 0 = free */
    uint16_t *weight;   /* by slot, after weigh(); 0 = gram not in use */
    uint32_t *count;    /* by slot: term frequency */
    uint32_t *slot;     /* by entry */
    uint32_t *other;    /* by slot, while sealed: how often another document holds the gram */
    uint32_t *met;      /* slots whose `other` is not 0 */
    int64_t meetings;
    int sealed;         /* no new entries: what is added counts as another document's */
} Bag;

static void bag_close(Bag *bag) {
    free(bag->key), free(bag->weight), free(bag->count), free(bag->slot), free(bag->other), free(bag->met);
}

static int bag_open(Bag *bag, int64_t entries) {
    int64_t room = 256;
    while (room < 2 * entries + 2) room *= 2;
    if (bag->room < room) {
        bag_close(bag);
        bag->key = calloc(room, sizeof *bag->key);
        bag->other = calloc(room, sizeof *bag->other);
        bag->met = malloc(room * sizeof *bag->met);
        bag->weight = malloc(room * sizeof *bag->weight);
        bag->count = malloc(room * sizeof *bag->count);
        bag->slot = malloc(room * sizeof *bag->slot);
        bag->room = room;
        if (!bag->key || !bag->weight || !bag->count || !bag->slot || !bag->other || !bag->met) return -1;
    } else {
        for (int64_t entry = 0; entry < bag->used; entry++) bag->key[bag->slot[entry]] = 0;
    }
    bag->used = 0;
    bag->sealed = 0;
    return 0;
}

static inline uint64_t stir(uint64_t hash) {
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash;
}

static inline int64_t bag_find(const Bag *bag, uint32_t gram) { /* its slot, or the free slot where it belongs */
    uint64_t mask = bag->room - 1, slot = gram & mask;
    while (bag->key[slot] && bag->key[slot] != gram + 1) slot = (slot + 1) & mask;
    return (int64_t)slot;
}

static inline void bag_add(Bag *bag, uint64_t hash, int bits) {
    uint32_t gram = (uint32_t)(stir(hash) >> (64 - bits));
    int64_t slot = bag_find(bag, gram);
    if (bag->sealed) {
        if (bag->key[slot] && bag->weight[slot] && !bag->other[slot]++) bag->met[bag->meetings++] = (uint32_t)slot;
        return;
    }
    if (!bag->key[slot]) {
        bag->key[slot] = gram + 1;
        bag->count[slot] = 0;
        bag->slot[bag->used++] = (uint32_t)slot;
    }
    bag->count[slot]++;
}

static inline uint64_t chain(uint64_t hash, uint64_t symbol) { return (hash + symbol + 1) * 0x9e3779b97f4a7c15u; }

/* Adds the features of one value: grams of `n` characters inside blank-padded words (a shorter word is one gram),
 * pairs of neighbouring words, the value as a whole. Returns the hash of that. */
static uint64_t bag_value(Bag *bag, const uint8_t *text, int64_t at, int64_t stop, int n, int bits, int features) {
    uint32_t window[8];
    uint64_t whole = 2, word = 0, before = 0;
    int length = 0;
    for (; at <= stop; at++) {
        uint32_t symbol = at < stop ? text[at] : ' ';
        if (at < stop && symbol >= 0xc0) { /* UTF-8: the characters that follow continue this one */
            symbol &= symbol >= 0xf0 ? 0x07 : symbol >= 0xe0 ? 0x0f : 0x1f;
            while (at + 1 < stop && (text[at + 1] & 0xc0) == 0x80) symbol = symbol << 6 | (text[++at] & 0x3f);
        }
        if (at < stop) whole = chain(whole, symbol);
        if (symbol == ' ' && !length) continue;
        if (!length) window[0] = ' ', length = 1, word = 1;
        if (length < n) {
            window[length] = symbol;
        } else {
            memmove(window, window + 1, (n - 1) * sizeof *window);
            window[n - 1] = symbol;
        }
        length++;
        if ((features & GRAMS) && (length >= n || symbol == ' ')) {
            uint64_t hash = 0;
            for (int i = 0; i < (length < n ? length : n); i++) hash = chain(hash, window[i]);
            bag_add(bag, hash, bits);
        }
        if (symbol != ' ') {
            word = chain(word, symbol);
        } else {
            if ((features & WORD_PAIRS) && before) bag_add(bag, before * 31 + word, bits);
            before = word;
            length = 0;
        }
    }
    if (features & WHOLE_VALUES) bag_add(bag, whole, bits);
    return whole;
}

static void bag_values(Bag *bag, const uint8_t *text, const int64_t *offsets, const int32_t *values, int64_t width, int n,
                       int bits, int features) {
    uint64_t before[MOST_APART] = {0}; /* the values of the columns before, 0 where there is none */
    for (int64_t v = 0; v < width; v++) {
        uint64_t whole = 0;
        if (values[v] >= 0) whole = bag_value(bag, text, offsets[values[v]], offsets[values[v] + 1], n, bits, features);
        if (!(features & VALUE_PAIRS)) continue;
        for (int distance = 0; distance < MOST_APART && whole; distance++)
            if (before[distance]) bag_add(bag, stir(before[distance]) + whole, bits);
        memmove(before + 1, before, (MOST_APART - 1) * sizeof *before);
        before[0] = whole;
    }
}

static int bag_document(Bag *bag, const uint8_t *text, const int64_t *offsets, const int32_t *values, int64_t width,
                        int n, int bits, int features) {
    int64_t bytes = 0;
    for (int64_t v = 0; v < width; v++)
        if (values[v] >= 0) bytes += 2 * (offsets[values[v] + 1] - offsets[values[v]]) + 4;
    if (bag_open(bag, bytes)) return -1;
    bag_values(bag, text, offsets, values, width, n, bits, features);
    return 0;
}

#define UNUSED (-1)
#define LONE (-2) /* of one document only: it is met nowhere else, but makes the document longer */

static inline double raw_weight(int32_t place, uint32_t tf, const float *idf, const double *tf_weight) {
    return place < 0 ? 0.0 : tf_weight[tf < LARGEST_TF ? tf : LARGEST_TF - 1] * (double)idf[place];
}

/* What makes the weights (1 + ln tf) idf of length 1. number: gram -> place in `idf`, -1 when it is not in use, or LONE; the idf of those
 * that are LONE stands behind the others, at `lone`. */
static double scale_of(const Bag *bag, const int32_t *number, const float *idf, int32_t lone, const double *tf_weight) {
    double square = 0.0;
    for (int64_t entry = 0; entry < bag->used; entry++) {
        uint32_t slot = bag->slot[entry];
        const int32_t place = number[bag->key[slot] - 1];
        double weight = raw_weight(place == LONE ? lone : place, bag->count[slot], idf, tf_weight);
        square += weight * weight;
    }
    return square > 0.0 ? ONE / sqrt(square) : 0.0;
}

static void weigh(Bag *bag, const int32_t *number, const float *idf, int32_t lone, const double *tf_weight) {
    double scale = scale_of(bag, number, idf, lone, tf_weight);
    for (int64_t entry = 0; entry < bag->used; entry++) {
        uint32_t slot = bag->slot[entry];
        double weight = raw_weight(number[bag->key[slot] - 1], bag->count[slot], idf, tf_weight);
        bag->weight[slot] = (uint16_t)(weight * scale + 0.5);
    }
}

/* frequency[gram] += number of documents (rows of `values`) that hold it. */
int mpiedge_cosine_count(const uint8_t *text, const int64_t *offsets, const int32_t *values, int64_t documents, int64_t width,
                 int n, int bits, int features, int32_t *frequency) {
    Bag bag = {0};
    int failed = 0;
    for (int64_t d = 0; d < documents && !failed; d++) {
        failed = bag_document(&bag, text, offsets, values + d * width, width, n, bits, features);
        for (int64_t entry = 0; entry < bag.used && !failed; entry++) frequency[bag.key[bag.slot[entry]] - 1]++;
    }
    bag_close(&bag);
    return failed;
}

/* number[gram]: its place among the grams with least <= frequency <= most, LONE where `lone` asks for those of one
 * document that are not in use, else UNUSED. kept[place]: frequency (room for as many as are in use). Returns how many
 * these are. */
int64_t mpiedge_cosine_number(const int32_t *frequency, int64_t grams, int64_t least, double most, int lone, int32_t *number,
                              int32_t *kept) {
    int32_t place = 0;
    for (int64_t gram = 0; gram < grams; gram++) {
        int in_use = frequency[gram] >= least && frequency[gram] <= most;
        number[gram] = in_use ? place : lone && frequency[gram] == 1 ? LONE : UNUSED;
        if (in_use) kept[place++] = frequency[gram];
    }
    return place;
}

typedef struct {
    uint32_t frequency, entry;
} Rarity;

static int by_rarity(const void *a, const void *b) {
    const Rarity *x = a, *y = b;
    if (x->frequency != y->frequency) return x->frequency < y->frequency ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Sparse rows: indptr[documents + 1], grams (their `number`), weights. With a budget only the rarest grams whose
 * document frequencies (by number) add up to it (but at least `least`). Returns the entries, -1 for no memory,
 * -2 when `room` is too small. */
int64_t mpiedge_cosine_vectors(const uint8_t *text, const int64_t *offsets, const int32_t *values, int64_t documents,
                       int64_t width, int n, int bits, int features, const int32_t *number, const float *idf, int32_t lone,
                       const double *tf_weight, const int32_t *frequency, int64_t budget, int64_t least, int64_t room,
                       int64_t *indptr, uint32_t *grams, uint16_t *weights) {
    Bag bag = {0};
    Rarity *order = NULL;
    int64_t order_room = 0, entries = 0;
    indptr[0] = 0;
    for (int64_t d = 0; d < documents && entries >= 0; d++) {
        if (bag_document(&bag, text, offsets, values + d * width, width, n, bits, features)) {
            entries = -1;
            break;
        }
        weigh(&bag, number, idf, lone, tf_weight);
        if (bag.used > order_room) {
            free(order);
            order_room = 2 * bag.used;
            order = malloc(order_room * sizeof *order);
            if (!order) {
                entries = -1;
                break;
            }
        }
        int64_t kept = 0, spent = 0;
        for (int64_t entry = 0; entry < bag.used; entry++) {
            uint32_t slot = bag.slot[entry];
            if (bag.weight[slot]) order[kept++] = (Rarity){(uint32_t)frequency[number[bag.key[slot] - 1]], slot};
        }
        if (budget > 0) {
            for (int64_t k = 0; k < kept; k++) order[k].entry = bag.key[order[k].entry] - 1;
            qsort(order, kept, sizeof *order, by_rarity); /* ties by gram: the same grams in every document */
            int64_t k = 0;
            for (; k < kept; k++) {
                spent += order[k].frequency;
                if (spent > budget && k >= least) break;
                order[k].entry = (uint32_t)bag_find(&bag, order[k].entry);
            }
            kept = k;
        }
        if (entries + kept > room) {
            entries = -2;
            break;
        }
        for (int64_t k = 0; k < kept; k++) {
            grams[entries] = (uint32_t)number[bag.key[order[k].entry] - 1];
            weights[entries++] = bag.weight[order[k].entry];
        }
        indptr[d + 1] = entries;
    }
    free(order);
    bag_close(&bag);
    return entries;
}

/* scales[d]: what makes the weights of document d of length 1. */
int mpiedge_cosine_scales(const uint8_t *text, const int64_t *offsets, const int32_t *values, int64_t documents,
                          int64_t width, int n, int bits, int features, const int32_t *number, const float *idf, int32_t lone,
                          const double *tf_weight, double *scales) {
    Bag bag = {0};
    int failed = 0;
    for (int64_t d = 0; d < documents && !failed; d++) {
        failed = bag_document(&bag, text, offsets, values + d * width, width, n, bits, features);
        if (!failed) scales[d] = scale_of(&bag, number, idf, lone, tf_weight);
    }
    bag_close(&bag);
    return failed;
}

/* cosines[p] = dot product (2^30 = 1) of document p of `a` and document p of `b`, whose scale is scales[p]. Runs of
 * equal `a` cost one vector; of `b` only the grams that `a` has are looked up. */
int mpiedge_cosine_pairs(const uint8_t *text, const int64_t *offsets, const int32_t *a, const int32_t *b, int64_t pairs,
                 int64_t width, int n, int bits, int features, const int32_t *number, const float *idf, int32_t lone,
                 const double *tf_weight, const double *scales, int32_t *cosines) {
    Bag bag = {0};
    int failed = 0;
    for (int64_t p = 0; p < pairs; p++) {
        if (!p || memcmp(a + p * width, a + (p - 1) * width, width * sizeof *a)) {
            failed = bag_document(&bag, text, offsets, a + p * width, width, n, bits, features);
            if (failed) break;
            weigh(&bag, number, idf, lone, tf_weight);
            bag.sealed = 1;
        }
        bag.meetings = 0;
        bag_values(&bag, text, offsets, b + p * width, width, n, bits, features);
        uint32_t sum = 0;
        for (int64_t k = 0; k < bag.meetings; k++) {
            uint32_t slot = bag.met[k];
            double weight = raw_weight(number[bag.key[slot] - 1], bag.other[slot], idf, tf_weight);
            sum += (uint32_t)bag.weight[slot] * (uint16_t)(weight * scales[p] + 0.5);
            bag.other[slot] = 0;
        }
        cosines[p] = (int32_t)sum;
    }
    bag_close(&bag);
    return failed;
}

/* cosines[p] = dot product of the sparse rows a[p] and b[p]. dense: zeros, one for each gram, left as such. */
void mpiedge_cosine_dots(const int64_t *indptr, const uint32_t *grams, const uint16_t *weights, const int64_t *a,
                         const int64_t *b, int64_t pairs, uint16_t *dense, int32_t *cosines) {
    for (int64_t p = 0; p < pairs; p++) {
        int64_t row = a[p], first = indptr[row], last = indptr[row + 1];
        if (!p || a[p - 1] != row)
            for (int64_t e = first; e < last; e++) dense[grams[e]] = weights[e];
        uint32_t sum = 0;
        for (int64_t e = indptr[b[p]]; e < indptr[b[p] + 1]; e++) sum += (uint32_t)dense[grams[e]] * weights[e];
        cosines[p] = (int32_t)sum;
        if (p + 1 == pairs || a[p + 1] != row)
            for (int64_t e = first; e < last; e++) dense[grams[e]] = 0;
    }
}

/* Brings the `most` largest of `count` distinct numbers to the front, in any order (Hoare's selection). */
static void select_largest(uint64_t *pool, int64_t count, int64_t most) {
    int64_t low = 0, high = count - 1;
    while (low < high) {
        uint64_t pivot = pool[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (pool[i] > pivot) i++;
            while (pool[j] < pivot) j--;
            if (i <= j) {
                uint64_t swap = pool[i];
                pool[i++] = pool[j], pool[j--] = swap;
            }
        }
        if (most - 1 <= j) high = j;
        else if (most - 1 >= i) low = i;
        else return;
    }
}

static int descending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* For each query (a sparse row) the best documents of the index: those above `floor`, best first (ties by lower
 * number): max(least, how many reach half the best), at most `most`.
 *
 * The index is cut into blocks of `block` documents (at most 65,536), so that the accumulator stays in the cache:
 * starts[b * (grams + 1) + g] .. [.. + g + 1] are the postings of gram g in block b (document inside the block, weight).
 * query_number[q]: its own number in the index (never returned), or -1. source: NULL, or one byte per document; then
 * only documents of another source count. counts[q], found and scores (room queries * most). Returns -1: no memory. */
int64_t mpiedge_cosine_search(const int64_t *indptr, const uint32_t *query_grams, const uint16_t *query_weights,
                      const int64_t *query_number, int64_t queries, const uint8_t *query_source, const uint8_t *source,
                      int64_t documents, int64_t first_document, int64_t block, int64_t grams, const uint32_t *starts,
                      const uint16_t *posting_document, const uint16_t *posting_weight, int64_t least, int64_t most,
                      int32_t floor, int32_t *counts, int32_t *found, int32_t *scores) {
    uint32_t *sum = calloc(block, sizeof *sum);
    uint16_t *touched = malloc(block * sizeof *touched + 2);
    int64_t written = 0, limit = 8 * most + 64; /* candidates collected before the weakest are dropped */
    uint64_t *pool = malloc(limit * sizeof *pool);
    if (!sum || !touched || !pool) {
        free(sum), free(touched), free(pool);
        return -1;
    }
    for (int64_t q = 0; q < queries; q++) {
        int64_t pooled = 0;
        uint32_t bar = (uint32_t)floor;
        for (int64_t b = 0; b * block < documents; b++) {
            const uint32_t *start = starts + b * (grams + 1);
            int64_t hits = 0, base = first_document + b * block;
            for (int64_t e = indptr[q]; e < indptr[q + 1]; e++) {
                uint32_t gram = query_grams[e], weight = query_weights[e];
                /* Where postings begin is rarely in the cache: ask for it some grams ahead, then for the postings. */
                if (e + FAR < indptr[q + 1]) __builtin_prefetch(start + query_grams[e + FAR]);
                if (e + NEAR < indptr[q + 1]) {
                    __builtin_prefetch(posting_document + start[query_grams[e + NEAR]]);
                    __builtin_prefetch(posting_weight + start[query_grams[e + NEAR]]);
                }
                for (uint32_t p = start[gram]; p < start[gram + 1]; p++) {
                    uint32_t document = posting_document[p];
                    touched[hits] = (uint16_t)document;
                    hits += !sum[document] && hits < block;
                    sum[document] += weight * posting_weight[p];
                }
            }
            for (int64_t h = 0; h < hits; h++) {
                uint32_t document = touched[h], score = sum[document];
                int64_t number = base + document;
                sum[document] = 0;
                if (score <= bar || number == query_number[q]) continue;
                if (source && source[number] == query_source[q]) continue;
                pool[pooled++] = (uint64_t)score << 32 | (uint32_t)(0xffffffffu - (uint32_t)number);
                if (pooled == limit) { /* drop all but the best `most`: no other can be among the answer */
                    select_largest(pool, pooled, most);
                    pooled = most;
                    uint64_t worst = pool[0];
                    for (int64_t k = 1; k < most; k++)
                        if (pool[k] < worst) worst = pool[k];
                    if (worst >> 32 > bar + 1) bar = (uint32_t)(worst >> 32) - 1; /* an equal score may still win */
                }
            }
        }
        qsort(pool, pooled, sizeof *pool, descending);
        int64_t kept = 0;
        while (kept < pooled && kept < most && (kept < least || 2 * (pool[kept] >> 32) >= pool[0] >> 32)) kept++;
        for (int64_t k = 0; k < kept; k++) {
            found[written] = (int32_t)(0xffffffffu - (uint32_t)pool[k]);
            scores[written++] = (int32_t)(pool[k] >> 32);
        }
        counts[q] = (int32_t)kept;
    }
    free(sum), free(touched), free(pool);
    return written;
}

/* Puts the sparse rows of one block into its postings; next[gram]: where the next posting of the gram goes. */
void mpiedge_cosine_postings(const int64_t *indptr, const uint32_t *row_grams, const uint16_t *row_weights,
                             int64_t documents, uint32_t *next, uint16_t *posting_document, uint16_t *posting_weight) {
    for (int64_t d = 0; d < documents; d++)
        for (int64_t e = indptr[d]; e < indptr[d + 1]; e++) {
            uint32_t at = next[row_grams[e]]++;
            posting_document[at] = (uint16_t)d;
            posting_weight[at] = row_weights[e];
        }
}
