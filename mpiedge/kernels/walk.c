/* Walk the prefix trie of the candidates (column sets X with the right-hand sides still open), a stack of partitions.
 *
 * At the node of a column set S, with partition p (r rows, P pairs) and q candidates left below it, in this order:
 * drop right-hand sides that evidence found meanwhile refutes; S is closed when p is empty; when all pairs of p cost no
 * more than going on, compare them all and S is closed; when S is a candidate itself, a star check (first row of each
 * cluster against the others) settles it for every right-hand side; then refine by each next column and go down.
 * In the search for keys, a pair that agrees on all of a candidate refutes it whatever else differs.
 *
 * Why this decides exactly: evidence holds only real pairs, so refuting is always right. S closed means that the
 * evidence holds the difference set of every pair that agrees on S. A star check ORs, for every row that is not the
 * first of its cluster, the columns in which it differs from the first: S -> A holds iff A is in none of them. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#define PAIR_NS 2.0
#define ROW_NS 8.0

enum { DONE = 0, MORE = 1, EXHAUST = 2, EXPAND = 3, FAILED = 4 };

typedef struct {
    int64_t low, high, next; /* candidates below this node; next: the first one not visited yet */
    int32_t depth, entered;
    const int32_t *rows, *starts;                              /* NULL: in the arenas at these offsets */
    int64_t rows_at, starts_at, clusters, pairs;
} frame;

typedef struct walk {
    evidence *e;
    int32_t words;
    const void *const *codes;                                  /* by column of the caller's table */
    const int32_t *itemsize;
    const int64_t *sequence_start;                             /* candidate i: columns sequence_start[i]..[i + 1] of */
    const int32_t *sequence;
    const uint64_t *left;                                      /* column sets */
    uint64_t *right;                                           /* open right-hand sides; emptied when settled */
    int64_t *checked;                                          /* how much evidence each candidate was tested against */
    double beta, pair_ns;
    int32_t keys;                                              /* candidates are keys: any pair that agrees refutes */
    int64_t defer_pairs;                                       /* more pairs than this are handed to the caller */
    frame *frames;
    int32_t top, frame_capacity;
    int32_t *count, *touched, *row_codes;
    int32_t *rows, *starts;                                    /* arenas of the partitions on the stack */
    int64_t rows_capacity, starts_capacity, scratch_capacity;
    int64_t *closed;                                           /* (candidate, depth): its first columns are closed */
    int64_t closed_count, closed_capacity;
    int64_t *stars;                                            /* candidates that were star-checked ... */
    uint64_t *safe;                                            /* ... and the columns nobody violated */
    int64_t star_count, star_capacity;
    int64_t refinements, pairs_done;
    int32_t failed;
} walk;

walk *walk_new(evidence *e, int32_t words, int64_t largest_cardinality, const void *const *codes,
               const int32_t *itemsize, double beta, int64_t defer_pairs, int32_t keys, double pair_ns) {
    walk *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->e = e, w->words = words, w->codes = codes, w->itemsize = itemsize;
    w->beta = beta, w->defer_pairs = defer_pairs, w->keys = keys, w->pair_ns = pair_ns;
    w->count = calloc((size_t)largest_cardinality + 1, 4);
    w->closed_capacity = w->star_capacity = 256;
    w->closed = malloc(256 * 16);
    w->stars = malloc(256 * 8);
    w->safe = malloc((size_t)(256 * words) * 8);
    w->failed = !w->count || !w->closed || !w->stars || !w->safe;
    return w;
}

void walk_free(walk *w) {
    if (!w) return;
    void *parts[] = {w->frames, w->count,  w->touched, w->row_codes, w->rows,
                     w->starts, w->closed, w->stars,   w->safe,      w};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

/* The candidates of one round, sorted so that every prefix is one range and stands at its end. */
void walk_candidates(walk *w, const int64_t *sequence_start, const int32_t *sequence, const uint64_t *left,
                     uint64_t *right, int64_t *checked) {
    w->sequence_start = sequence_start, w->sequence = sequence, w->left = left, w->right = right, w->checked = checked;
    w->closed_count = w->star_count = 0;
}

int64_t walk_closed_count(const walk *w) { return w->closed_count; }
const int64_t *walk_closed(const walk *w) { return w->closed; }
int64_t walk_star_count(const walk *w) { return w->star_count; }
const int64_t *walk_stars(const walk *w) { return w->stars; }
const uint64_t *walk_safe(const walk *w) { return w->safe; }
int64_t walk_refinements(const walk *w) { return w->refinements; }
int64_t walk_pairs(const walk *w) { return w->pairs_done; }

static int reserve(void *array, int64_t *capacity, int64_t needed, size_t size) {
    if (needed <= *capacity) return 1;
    int64_t larger = *capacity * 2 > needed ? *capacity * 2 : needed;
    void *grown = realloc(*(void **)array, (size_t)larger * size);
    if (!grown) return 0;
    *(void **)array = grown;
    *capacity = larger;
    return 1;
}

static const int32_t *rows_of(const walk *w, const frame *f) { return f->rows ? f->rows : w->rows + f->rows_at; }
static const int32_t *starts_of(const walk *w, const frame *f) {
    return f->starts ? f->starts : w->starts + f->starts_at;
}

static frame *push(walk *w) {
    if (w->top == w->frame_capacity) {
        int32_t larger = w->frame_capacity * 2 + 16;
        frame *grown = realloc(w->frames, (size_t)larger * sizeof(frame));
        if (!grown) return NULL;
        w->frames = grown;
        w->frame_capacity = larger;
    }
    frame *f = w->frames + w->top++;
    memset(f, 0, sizeof *f);
    return f;
}

/* Start at the node of the first `depth` columns of candidate `low`, above candidates [low, high). */
int32_t walk_begin(walk *w, int64_t low, int64_t high, int32_t depth, const int32_t *rows, const int32_t *starts,
                   int64_t clusters, int64_t pairs) {
    w->top = 0;
    int64_t largest = 0, scratch = w->scratch_capacity;
    for (int64_t k = 0; k < clusters; k++)
        if (starts[k + 1] - starts[k] > largest) largest = starts[k + 1] - starts[k];
    if (!reserve(&w->touched, &w->scratch_capacity, largest, 4)) return 0;
    if (!reserve(&w->row_codes, &scratch, largest, 4)) return 0;
    frame *f = push(w);
    if (!f) return 0;
    f->low = f->next = low, f->high = high, f->depth = depth;
    f->rows = rows, f->starts = starts, f->clusters = clusters, f->pairs = pairs;
    return 1;
}

/* Drop what new evidence refutes in candidates [low, high); returns how many are still open. */
static int64_t recheck(walk *w, int64_t low, int64_t high, double *spent_ns) {
    const int W = w->words;
    const int64_t known = w->e->count;
    int64_t open = 0;
    for (int64_t i = low; i < high; i++) {
        const uint64_t *left = w->left + i * W;
        uint64_t *right = w->right + i * W, any = 0;
        for (int x = 0; x < W; x++) any |= right[x];
        if (!any) continue;
        *spent_ns += 2.0 * (double)(known - w->checked[i] + 1);
        for (int64_t k = w->checked[i]; k < known; k++) {
            const uint64_t *mask = w->e->masks + k * W;
            uint64_t hit = 0;
            for (int x = 0; x < W; x++) hit |= mask[x] & left[x];
            if (!hit)
                for (int x = 0; x < W; x++) right[x] &= w->keys ? 0 : ~mask[x];
        }
        w->checked[i] = known;
        any = 0;
        for (int x = 0; x < W; x++) any |= right[x];
        open += any != 0;
    }
    return open;
}

int64_t walk_open(walk *w, int64_t low, int64_t high) {
    double spent_ns = 0;
    return recheck(w, low, high, &spent_ns);
}

static int mark_closed(walk *w, const frame *f) {
    int64_t capacity = w->closed_capacity;
    if (!reserve(&w->closed, &capacity, w->closed_count + 1, 16)) return 0;
    w->closed_capacity = capacity;
    w->closed[2 * w->closed_count] = f->low;
    w->closed[2 * w->closed_count++ + 1] = f->depth;
    return 1;
}

static int star(walk *w, const frame *f, int64_t candidate) {
    const int W = w->words;
    uint64_t violated[MAX_WORDS] = {0};
    int64_t capacity = w->star_capacity;
    evidence_star(w->e, rows_of(w, f), starts_of(w, f), f->clusters, violated);
    if (!reserve(&w->stars, &capacity, w->star_count + 1, 8)) return 0;
    capacity = w->star_capacity * W;
    if (!reserve(&w->safe, &capacity, (w->star_count + 1) * W, 8)) return 0;
    w->star_capacity = capacity / W;
    w->stars[w->star_count] = candidate;
    for (int x = 0; x < W; x++) w->safe[w->star_count * W + x] = ~violated[x], w->right[candidate * W + x] = 0;
    w->star_count++;
    return 1;
}

/* One step on entering the node on top; returns MORE to go below it, DONE when it is finished. */
static int enter(walk *w, frame *f, double *spent_ns) {
    int64_t rows = f->clusters ? starts_of(w, f)[f->clusters] : 0;
    if (!rows) return mark_closed(w, f) ? DONE : FAILED;
    int64_t open = recheck(w, f->low, f->high, spent_ns);
    if (!open) return DONE;
    if ((double)f->pairs * w->pair_ns <= (double)open * (double)rows * ROW_NS * w->beta + 2.0 * (double)rows * PAIR_NS) {
        if (!mark_closed(w, f)) return FAILED;
        if (f->pairs > w->defer_pairs) return EXHAUST;
        evidence_pairs(w->e, rows_of(w, f), starts_of(w, f), f->clusters, 0, rows);
        w->pairs_done += f->pairs;
        *spent_ns += (double)f->pairs * w->pair_ns + (double)rows * PAIR_NS;
        return DONE;
    }
    int64_t last = f->high - 1;                                /* S itself, if it is a candidate, stands at the end */
    if (w->sequence_start[last + 1] - w->sequence_start[last] == f->depth) {
        uint64_t any = 0;
        for (int x = 0; x < w->words; x++) any |= w->right[last * w->words + x];
        if (any) {
            if (!star(w, f, last)) return FAILED;
            *spent_ns += (double)rows * 5.0;
        }
        f->high = last;
    }
    return MORE;
}

/* Go on for about `budget_ns` of work. one_level: stop with EXPAND below the first node instead of going down. */
int32_t walk_run(walk *w, double budget_ns, int32_t one_level) {
    double spent = 0;
    while (w->top) {
        if (w->failed || w->e->failed) return FAILED;
        if (spent > budget_ns) return MORE;
        frame *f = w->frames + w->top - 1;
        if (!f->entered) {
            f->entered = 1;
            int what = enter(w, f, &spent);
            if (what == EXHAUST || what == FAILED) return what;
            if (what == DONE) {
                w->top--;
                continue;
            }
            if (one_level) return EXPAND;
        }
        if (f->next >= f->high) {
            w->top--;
            continue;
        }
        int64_t low = f->next, high = low + 1;
        int32_t column = w->sequence[w->sequence_start[low] + f->depth];
        while (high < f->high && w->sequence[w->sequence_start[high] + f->depth] == column) high++;
        f->next = high;
        if (!recheck(w, low, high, &spent)) continue;
        int64_t rows = starts_of(w, f)[f->clusters];
        int64_t rows_at = f->rows ? 0 : f->rows_at + rows, starts_at = f->starts ? 0 : f->starts_at + f->clusters + 1;
        if (!reserve(&w->rows, &w->rows_capacity, rows_at + rows, 4)) return FAILED;
        if (!reserve(&w->starts, &w->starts_capacity, starts_at + rows / 2 + 1, 4)) return FAILED;
        frame *child = push(w);
        if (!child) return FAILED;
        f = child - 1;
        child->low = child->next = low, child->high = high, child->depth = f->depth + 1;
        child->rows_at = rows_at, child->starts_at = starts_at;
        child->clusters = partition_refine(rows_of(w, f), starts_of(w, f), f->clusters, w->codes[column],
                                           w->itemsize[column], w->count, w->touched, w->row_codes, w->rows + rows_at,
                                           w->starts + starts_at, &child->pairs);
        w->refinements++;
        spent += (double)rows * 5.0;
    }
    return DONE;
}

static void describe(const walk *w, const frame *f, int64_t *out, const int32_t **rows, const int32_t **starts) {
    out[0] = f->low, out[1] = f->depth, out[2] = f->clusters, out[3] = f->pairs, out[4] = f->next, out[5] = f->high;
    *rows = rows_of(w, f);
    *starts = starts_of(w, f);
}

/* The node on top (after EXHAUST or EXPAND): candidate, depth, clusters, pairs, and its candidates [next, high). */
void walk_top(const walk *w, int64_t *out, const int32_t **rows, const int32_t **starts) {
    describe(w, w->frames + w->top - 1, out, rows, starts);
}

/* Give away the candidates not begun below the lowest node where they are about `least_ns` of work; 0: there are none.
 * Told as by walk_top. */
int32_t walk_split(walk *w, double least_ns, int64_t *out, const int32_t **rows, const int32_t **starts) {
    for (frame *f = w->frames; f < w->frames + w->top; f++) {
        if (!f->entered || f->next >= f->high) continue;
        if ((double)(f->high - f->next) * (double)starts_of(w, f)[f->clusters] * ROW_NS < least_ns) continue;
        describe(w, f, out, rows, starts);
        f->high = f->next;
        return 1;
    }
    return 0;
}

/* Leave the node on top after the caller took it over. */
void walk_leave(walk *w) { w->top--; }
