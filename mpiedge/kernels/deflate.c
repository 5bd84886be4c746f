/* Compression as zlib reads it (RFC 1951), faster than zlib's own of level 1 and as small: one look for an earlier
 * occurrence at each place, and Huffman codes for each block. For processors that store the low byte first. */

#include <stdint.h>
#include <string.h>

enum { WINDOW = 32768, LEAST_MATCH = 4, LONGEST_MATCH = 258, REMEMBERED = 4, HASH_BITS = 14, BLOCK_TOKENS = 1 << 15 };
enum { LITERALS = 286, DISTANCES = 30, LENGTHS = 19, END_OF_BLOCK = 256, LONGEST_CODE = 15, LONGEST_LENGTH_CODE = 7 };

typedef struct {
    uint8_t *at;
    uint64_t bits;
    int many;
} writer;

/* At most 48 bits at once. */
static inline void put(writer *out, uint64_t bits, int many)
{
    out->bits |= bits << out->many;
    out->many += many;
    memcpy(out->at, &out->bits, 8);
    out->at += out->many >> 3;
    out->bits >>= out->many & ~7;
    out->many &= 7;
}

/* -- Huffman codes ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t count[LITERALS];
    uint16_t code[LITERALS];
    uint8_t length[LITERALS];
} alphabet;

typedef struct {
    uint32_t count;
    uint16_t symbol;
} leaf;

/* Lengths of an optimal code for counts that rise, in place of them (Moffat & Katajainen 1995). */
static void minimum_redundancy(leaf *leaves, int many)
{
    int root = 0, next = 2, available = 1, used = 0, depth = 0;
    leaves[0].count += leaves[1].count;
    for (int at = 1; at < many - 1; at++) { /* parents: sums on the right, then places of their own parents */
        for (int side = 0; side < 2; side++) {
            const int inner = next >= many || (root < at && leaves[root].count < leaves[next].count);
            const uint32_t count = inner ? leaves[root].count : leaves[next].count;
            leaves[at].count = side ? leaves[at].count + count : count;
            if (inner)
                leaves[root++].count = (uint32_t)at;
            else
                next++;
        }
    }
    leaves[many - 2].count = 0;
    for (int at = many - 3; at >= 0; at--)
        leaves[at].count = leaves[leaves[at].count].count + 1;
    for (int inner = many - 2, write = many - 1; available > 0; available = 2 * used, used = 0, depth++) {
        for (; inner >= 0 && (int)leaves[inner].count == depth; inner--)
            used++;
        for (; available > used; available--)
            leaves[write--].count = (uint32_t)depth;
    }
}

/* Codes of at most `longest` bits for the first `symbols` of an alphabet; two of them at least, as readers want it. */
static void make_codes(alphabet *letters, int symbols, int longest)
{
    leaf leaves[LITERALS];
    int many = 0;
    for (int symbol = 0; symbol < symbols; symbol++)
        many += letters->count[symbol] > 0;
    for (int symbol = 0; many < 2; symbol++)
        if (!letters->count[symbol]) {
            letters->count[symbol] = 1;
            many++;
        }
    many = 0;
    for (int symbol = 0; symbol < symbols; symbol++) /* an insertion sort by count: few symbols */
        if (letters->count[symbol]) {
            int at = many++;
            for (; at > 0 && leaves[at - 1].count > letters->count[symbol]; at--)
                leaves[at] = leaves[at - 1];
            leaves[at] = (leaf){letters->count[symbol], (uint16_t)symbol};
        }
    minimum_redundancy(leaves, many);
    int of_length[LITERALS] = {0};
    for (int at = 0; at < many; at++)
        of_length[leaves[at].count]++;
    for (int length = longest + 1; length < LITERALS; length++) {
        of_length[longest] += of_length[length];
        of_length[length] = 0;
    }
    uint32_t room = 0; /* what the codes take of 1 << longest */
    for (int length = 1; length <= longest; length++)
        room += (uint32_t)of_length[length] << (longest - length);
    for (; room > 1u << longest; room--) { /* one of the longest goes beside a shorter one that becomes longer */
        int length = longest - 1;
        while (!of_length[length])
            length--;
        of_length[longest]--;
        of_length[length]--;
        of_length[length + 1] += 2;
    }
    uint16_t next[LONGEST_CODE + 2] = {0};
    memset(letters->length, 0, sizeof letters->length);
    for (int length = longest, at = 0; length > 0; length--)
        for (int i = 0; i < of_length[length]; i++)
            letters->length[leaves[at++].symbol] = (uint8_t)length;
    for (int length = 1; length <= longest; length++)
        next[length + 1] = (uint16_t)((next[length] + of_length[length]) << 1);
    for (int symbol = 0; symbol < symbols; symbol++) {
        uint16_t code = letters->length[symbol] ? next[letters->length[symbol]]++ : 0, reversed = 0;
        for (int bit = 0; bit < letters->length[symbol]; bit++, code >>= 1)
            reversed = (uint16_t)(reversed << 1 | (code & 1));
        letters->code[symbol] = reversed;
    }
}

/* -- blocks -------------------------------------------------------------------------------------------------------------- */

/* The symbol of a length or a distance; extra: how many bits follow it. */
static inline int length_symbol(int length, int *extra)
{
    const int rest = length - 3, top = 31 - __builtin_clz((unsigned)rest | 1);
    *extra = rest < 8 || length == LONGEST_MATCH ? 0 : top - 2;
    return length == LONGEST_MATCH ? 285 : rest < 8 ? 257 + rest : 257 + 4 * (top - 1) + (rest >> (top - 2) & 3);
}

static inline int distance_symbol(int distance, int *extra)
{
    const int rest = distance - 1, top = 31 - __builtin_clz((unsigned)rest | 1);
    *extra = rest < 4 ? 0 : top - 1;
    return rest < 4 ? rest : 2 * top + (rest >> (top - 1) & 1);
}

/* Lengths of codes, runs of them shortened (RFC 1951, 3.2.7): symbols, and what follows each. */
static int shorten(const uint8_t *lengths, int many, uint8_t *symbols, uint8_t *follows)
{
    int written = 0;
    for (int at = 0, run; at < many; at += run) {
        const int most = lengths[at] ? 6 : 138;
        for (run = 1; at + run < many && run < most + (lengths[at] != 0) && lengths[at + run] == lengths[at];)
            run++;
        const int repeated = lengths[at] ? run - 1 : run; /* of what stands before; zeros by themselves */
        if (lengths[at] || repeated < 3)
            symbols[written] = lengths[at], follows[written++] = 0;
        if (repeated < 3) {
            run = 1;
            continue;
        }
        symbols[written] = lengths[at] ? 16 : repeated < 11 ? 17 : 18;
        follows[written++] = (uint8_t)(repeated - (repeated < 11 || lengths[at] ? 3 : 11));
    }
    return written;
}

static void write_codes(writer *out, const alphabet *literals, const alphabet *distances)
{
    static const uint8_t order[LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    static const uint8_t extra[LENGTHS] = {[16] = 2, [17] = 3, [18] = 7};
    uint8_t lengths[LITERALS + DISTANCES], symbols[LITERALS + DISTANCES], follows[LITERALS + DISTANCES];
    int of_literals = LITERALS, of_distances = DISTANCES, orders = LENGTHS;
    while (!literals->length[of_literals - 1])
        of_literals--;
    while (!distances->length[of_distances - 1])
        of_distances--;
    memcpy(lengths, literals->length, (size_t)of_literals);
    memcpy(lengths + of_literals, distances->length, (size_t)of_distances);
    const int many = shorten(lengths, of_literals + of_distances, symbols, follows);
    alphabet of_lengths = {0};
    for (int at = 0; at < many; at++)
        of_lengths.count[symbols[at]]++;
    make_codes(&of_lengths, LENGTHS, LONGEST_LENGTH_CODE);
    while (!of_lengths.length[order[orders - 1]])
        orders--;
    put(out, (uint64_t)(of_literals - 257) | (uint64_t)(of_distances - 1) << 5 | (uint64_t)(orders - 4) << 10, 14);
    for (int at = 0; at < orders; at++)
        put(out, of_lengths.length[order[at]], 3);
    for (int at = 0; at < many; at++) {
        put(out, of_lengths.code[symbols[at]], of_lengths.length[symbols[at]]);
        put(out, follows[at], extra[symbols[at]]);
    }
}

/* tokens: a literal, or length << 16 | distance. */
static void write_block(writer *out, const uint32_t *tokens, int many, int last)
{
    alphabet literals = {0}, distances = {0};
    int extra, more;
    for (int at = 0; at < many; at++) {
        if (tokens[at] < 256)
            literals.count[tokens[at]]++;
        else {
            literals.count[length_symbol((int)(tokens[at] >> 16), &extra)]++;
            distances.count[distance_symbol((int)(tokens[at] & 0xffff), &extra)]++;
        }
    }
    literals.count[END_OF_BLOCK] = 1;
    make_codes(&literals, LITERALS, LONGEST_CODE);
    make_codes(&distances, DISTANCES, LONGEST_CODE);
    put(out, (uint64_t)last | 2 << 1, 3);
    write_codes(out, &literals, &distances);
    for (int at = 0; at < many; at++) {
        if (tokens[at] < 256) {
            put(out, literals.code[tokens[at]], literals.length[tokens[at]]);
            continue;
        }
        const int length = (int)(tokens[at] >> 16), distance = (int)(tokens[at] & 0xffff);
        const int symbol = length_symbol(length, &extra), far = distance_symbol(distance, &more);
        uint64_t bits = literals.code[symbol];
        int used = literals.length[symbol];
        bits |= (uint64_t)((length - 3) & ((1 << extra) - 1)) << used;
        used += extra;
        bits |= (uint64_t)distances.code[far] << used;
        used += distances.length[far];
        bits |= (uint64_t)((distance - 1) & ((1 << more) - 1)) << used;
        put(out, bits, used + more);
    }
    put(out, literals.code[END_OF_BLOCK], literals.length[END_OF_BLOCK]);
}

/* -- earlier occurrences ------------------------------------------------------------------------------------------------- */

static inline uint32_t four(const uint8_t *text)
{
    uint32_t bytes;
    memcpy(&bytes, text, 4);
    return bytes;
}

static inline uint32_t slot_of(uint32_t bytes)
{
    return bytes * 0x9E3779B1u >> (32 - HASH_BITS);
}

static inline int common(const uint8_t *text, const uint8_t *other, int most)
{
    int same = LEAST_MATCH;
    for (; same + 8 <= most; same += 8) {
        uint64_t left, right;
        memcpy(&left, text + same, 8);
        memcpy(&right, other + same, 8);
        if (left != right)
            return same + (__builtin_ctzll(left ^ right) >> 3);
    }
    while (same < most && text[same] == other[same])
        same++;
    return same;
}

/* Compress `size` bytes, below 2^31, into `into`, which has room for 2 * size + 1024; without header and checksum.
 * tokens: room for BLOCK_TOKENS. Of a match only the first REMEMBERED places can be found again. Returns the bytes. */
int64_t mpiedge_deflate(const uint8_t *text, int64_t size, uint32_t *tokens, uint8_t *into)
{
    int32_t seen[1 << HASH_BITS]; /* where the last four bytes of a slot were, -1: nowhere */
    writer out = {into, 0, 0};
    int many = 0;
    memset(seen, 0xff, sizeof seen);
    for (int64_t at = 0; at < size;) {
        int64_t step = 1, before = -1;
        if (at + LEAST_MATCH <= size) {
            const uint32_t bytes = four(text + at), slot = slot_of(bytes);
            before = seen[slot];
            seen[slot] = (int32_t)at;
            if (before >= 0 && at - before < WINDOW && four(text + before) == bytes)
                step = common(text + at, text + before, size - at < LONGEST_MATCH ? (int)(size - at) : LONGEST_MATCH);
        }
        tokens[many++] = step > 1 ? (uint32_t)(step << 16 | (at - before)) : text[at];
        for (int64_t next = at + 1; next < at + step && next < at + REMEMBERED && next + LEAST_MATCH <= size; next++)
            seen[slot_of(four(text + next))] = (int32_t)next;
        at += step;
        if (many == BLOCK_TOKENS) {
            write_block(&out, tokens, many, at >= size);
            many = 0;
        }
    }
    if (many || !size)
        write_block(&out, tokens, many, 1);
    return out.at - into + (out.many > 0);
}

/* The checksum of HDF5's filter (Fletcher 1982, over words of two bytes, the high one first). */
uint32_t mpiedge_fletcher32(const uint8_t *data, int64_t size)
{
    uint32_t sum = 0, sums = 0;
    for (int64_t at = 0; at < size;) {
        const int64_t stop = size - at > 720 ? at + 720 : size; /* so many words do not overflow */
        for (; at < stop; at += 2) {
            sum += (uint32_t)data[at] << 8 | (at + 1 < size ? data[at + 1] : 0);
            sums += sum;
        }
        sum = (sum & 0xffff) + (sum >> 16);
        sums = (sums & 0xffff) + (sums >> 16);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sums = (sums & 0xffff) + (sums >> 16);
    return sums << 16 | sum;
}
