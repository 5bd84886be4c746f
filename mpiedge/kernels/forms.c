/* What the cells of a column look like, and the numbers they mean. The rules are those of cleaning/cells.py, which also
 * judges every cell that is called ODD here. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ODD, EMPTY, TEXT, LEADING_ZERO, INTEGER, POINT_ZERO, POINT_THREE, POINT, COMMA_THREE, COMMA, YMD_DASH, YMD_SLASH,
       YMD_DOT, DMY_DASH, DMY_SLASH, DMY_DOT };
enum { LONGEST_HARD = 40 }; /* characters: longer cells are text, but for whole numbers */
enum { EDGE_BLANKS, LONGEST, CHARACTERS, WORDED, WIDEST, NARROWEST, LONG_INTEGERS, FIRST_ABOVE, SECOND_ABOVE = FIRST_ABOVE + 3,
       COUNTS = SECOND_ABOVE + 3 };

static inline int digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
static inline int blank(uint8_t byte) { return byte == ' ' || (byte >= 9 && byte <= 13) || (byte >= 0x1c && byte <= 0x1f); }
static inline int letter(uint8_t byte) { return (byte | 32) >= 'a' && (byte | 32) <= 'z'; }
static inline uint8_t lower(uint8_t byte) { return letter(byte) ? byte | 32 : byte; }

static inline int64_t digits(const uint8_t *text, int64_t at, int64_t size)
{
    while (at < size && digit(text[at]))
        at++;
    return at;
}

static int month(const uint8_t *text, int64_t size)
{
    static const char names[] = "jan feb mar apr may jun jul aug sep oct nov dec";
    if (size < 3)
        return 0;
    const char wanted[4] = {(char)lower(text[0]), (char)lower(text[1]), (char)lower(text[2]), 0};
    const char *found = letter(text[0]) && letter(text[1]) && letter(text[2]) ? strstr(names, wanted) : NULL;
    return found != NULL;
}

/* Whether the bytes are a time of day behind a date: " 7:05", "T07:05:09.25Z", " 7:05 PM+01:00". */
static int is_time(const uint8_t *text, int64_t size)
{
    int64_t at = 1, stop;
    if (size < 5 || (text[0] != ' ' && text[0] != 'T' && text[0] != 't'))
        return 0;
    stop = digits(text, at, size);
    if (stop == at || stop > at + 2 || stop + 2 >= size || text[stop] != ':' || !digit(text[stop + 1]) || !digit(text[stop + 2]))
        return 0;
    at = stop + 3;
    if (at + 2 < size && text[at] == ':' && digit(text[at + 1]) && digit(text[at + 2])) {
        at += 3;
        if (at + 1 < size && text[at] == '.' && digit(text[at + 1]))
            at = digits(text, at + 1, size);
    }
    stop = at + (at < size && text[at] == ' ');
    if (stop + 1 < size && (lower(text[stop]) == 'a' || lower(text[stop]) == 'p') && lower(text[stop + 1]) == 'm')
        at = stop + 2;
    if (at + 1 == size && lower(text[at]) == 'z')
        return 1;
    if (at < size && (text[at] == '+' || text[at] == '-') && at + 4 < size) {
        const int64_t colon = text[at + 3] == ':';
        if (at + 5 + colon == size && digit(text[at + 1]) && digit(text[at + 2]) && digit(text[at + 3 + colon]) &&
            digit(text[at + 4 + colon]))
            return 1;
    }
    return at == size;
}

/* A date in digits at the beginning of the bytes: its form, or ODD. part: the three numbers; *end: the byte behind. */
static int date_form(const uint8_t *text, int64_t size, int *part, int64_t *end)
{
    int64_t begin = 0, width[3];
    uint8_t sign = 0;
    for (int i = 0; i < 3; i++) {
        int64_t stop = digits(text, begin, size);
        width[i] = stop - begin;
        if (!width[i] || width[i] > 4)
            return ODD;
        part[i] = 0;
        for (int64_t at = begin; at < stop; at++)
            part[i] = 10 * part[i] + text[at] - '0';
        if (i < 2) {
            if (stop >= size || (i && text[stop] != sign))
                return ODD;
            sign = text[stop];
        }
        begin = stop + 1;
        *end = stop;
    }
    const int style = sign == '-' ? 0 : sign == '/' ? 1 : sign == '.' ? 2 : 3;
    if (style == 3)
        return ODD;
    if (width[0] == 4 && width[1] <= 2 && width[2] <= 2)
        return YMD_DASH + style;
    return width[0] <= 2 && width[1] <= 2 && width[2] == 4 ? DMY_DASH + style : ODD;
}

/* The form of a cell without blanks at its edges that begins with a digit, a sign, a point or a comma. */
static int hard_form(const uint8_t *text, int64_t size, int64_t times, int64_t *counts)
{
    const int64_t from = text[0] == '+' || text[0] == '-';
    const int64_t first = digits(text, from, size), whole = first - from;
    if (first == size && whole)
        if (!from || size <= LONGEST_HARD)
            return text[from] == '0' && whole > 1 ? LEADING_ZERO : INTEGER;
    if (size <= LONGEST_HARD && first < size && (text[first] == '.' || text[first] == ',') && first + 1 < size) {
        const int64_t stop = digits(text, first + 1, size);
        if (stop == size) {
            int zeros = whole > 0 && text[first] == '.';
            for (int64_t at = first + 1; zeros && at < size; at++)
                zeros = text[at] == '0';
            const int three = whole >= 1 && whole <= 3 && text[from] != '0' && size - first - 1 == 3;
            if (text[first] == '.')
                return zeros ? POINT_ZERO : three ? POINT_THREE : POINT;
            return three ? COMMA_THREE : COMMA;
        }
    }
    int part[3];
    int64_t end;
    const int form = size <= LONGEST_HARD ? date_form(text, size, part, &end) : ODD;
    if (form != ODD && (end == size || is_time(text + end, size - end))) {
        if (form >= DMY_DASH) {
            counts[FIRST_ABOVE + form - DMY_DASH] += times * (part[0] > 12);
            counts[SECOND_ABOVE + form - DMY_DASH] += times * (part[1] > 12);
        }
        return form;
    }
    if (first > from && first - from <= 2 && first < size && (text[first] == ' ' || text[first] == '-') &&
        month(text + first + 1, size - first - 1))
        return ODD;
    for (int64_t at = 0; at < size; at++)
        if (!digit(text[at]) && !strchr("+-.,/: eEtTzZaApPmM", text[at]) && text[at] < 0x80)
            return TEXT;
    return ODD;
}

/* Whether the character at one of the edges may be a blank that is no ASCII. */
static int odd_edge(uint8_t lead) { return lead == 0xc2 || lead == 0xe1 || lead == 0xe2 || lead == 0xe3; }

static int is_null(const uint8_t *text, int64_t size, const uint8_t *nulls, int64_t nulls_size)
{
    for (const uint8_t *word = nulls; word < nulls + nulls_size; word += strlen((const char *)word) + 1) {
        int64_t at = 0;
        while (at < size && word[at] && lower(text[at]) == word[at])
            at++;
        if (at == size && !word[at])
            return 1;
    }
    return 0;
}

/* The forms of a column's cells (starts: rows + 1 places in the text), and counts that leave ODD cells and their texts
 * out. nulls: words in small letters, each with a NUL behind it; cells that equal one are ODD. */
void mpiedge_cell_forms(const uint8_t *text, const uint32_t *starts, int64_t rows, const int64_t *times,
                        const uint8_t *nulls, int64_t nulls_size, uint8_t *forms, int64_t *counts)
{
    uint8_t begins_null[256] = {0};
    for (const uint8_t *word = nulls; word < nulls + nulls_size; word += strlen((const char *)word) + 1)
        begins_null[word[0]] = 1;
    memset(counts, 0, COUNTS * sizeof *counts);
    counts[NARROWEST] = 99;
    for (int64_t row = 0; row < rows; row++) {
        const uint8_t *cell = text + starts[row];
        const int64_t length = (int64_t)starts[row + 1] - 1 - starts[row], many = times ? times[row] : 1;
        int64_t from = 0, to = length;
        while (from < to && blank(cell[from]))
            from++;
        while (to > from && blank(cell[to - 1]))
            to--;
        if (from == to) {
            forms[row] = EMPTY;
            continue;
        }
        const uint8_t *start = cell + from;
        const int64_t size = to - from;
        int64_t tail = size - 1;
        while (tail > 0 && (start[tail] & 0xc0) == 0x80)
            tail--;
        if (odd_edge(start[0]) || odd_edge(start[tail]) ||
            (size <= 13 && begins_null[lower(start[0])] && is_null(start, size, nulls, nulls_size))) {
            forms[row] = ODD;
            continue;
        }
        int form = TEXT;
        if (digit(start[0]) || strchr("+-.,", start[0]))
            form = hard_form(start, size, many, counts);
        else if (month(start, size))
            form = ODD;
        int64_t characters = length, run = 0;
        int word = 0, letters = 0, figure = 0, wide = 0, kelvin = 0;
        int alone = 1; /* neither a digit nor a letter beyond ASCII stands before the run of letters */
        if (form == TEXT || form == ODD)
            for (int64_t at = 0; at < length; at++) {
                if (letter(cell[at])) {
                    letters |= ++run == 3;
                } else {
                    int ends = !digit(cell[at]) && !(cell[at] & 0x80);
                    word |= run >= 3 && alone && ends;
                    alone = ends, run = 0;
                }
                figure |= digit(cell[at]);
                wide |= cell[at] & 0x80;
                characters -= (cell[at] & 0xc0) == 0x80;
                kelvin |= cell[at] == 0xe2;
            }
        int worded = word || (run >= 3 && alone) || (letters && !figure);
        if ((wide && !worded && form == TEXT) || (kelvin && size <= 39))
            form = ODD;
        forms[row] = (uint8_t)form;
        if (form == ODD)
            continue;
        counts[EDGE_BLANKS] += many * (size != length);
        counts[CHARACTERS] += many * characters;
        counts[WORDED] += many * (form == TEXT && worded);
        if (characters > counts[LONGEST])
            counts[LONGEST] = characters;
        if (form == INTEGER) {
            if (size > counts[WIDEST])
                counts[WIDEST] = size;
            if (size < counts[NARROWEST])
                counts[NARROWEST] = size;
            const int64_t sign = start[0] == '+' || start[0] == '-';
            counts[LONG_INTEGERS] += many * (size - sign > 3);
        }
    }
}

static const double TENS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* A number of digits with at most a sign and a point: 1 for a whole one, 2 for one with a point, 0 for any other cell. Up
 * to 15 digits, one division of exact numbers rounds rightly (Clinger 1990). */
static int decimal(const uint8_t *cell, int64_t size, double *value)
{
    int64_t at = size && (cell[0] == '+' || cell[0] == '-'), number = 0, point = -1, many = 0;
    for (; at < size; at++) {
        if (digit(cell[at])) {
            if (++many > 15)
                return 0;
            number = 10 * number + cell[at] - '0';
        } else if (cell[at] == '.' && point < 0)
            point = at;
        else
            return 0;
    }
    const int64_t places = point < 0 ? 0 : size - 1 - point;
    if (!many || (point >= 0 && !places))
        return 0;
    const double found = places ? (double)number / TENS[places] : (double)number;
    *value = cell[0] == '-' ? -found : found;
    return 1 + (point >= 0);
}

/* Decimals of a column, NaN for empty cells. Returns 0 at the first cell that is none. */
int64_t mpiedge_read_decimals(const uint8_t *text, const uint32_t *starts, int64_t rows, double *values)
{
    for (int64_t row = 0; row < rows; row++) {
        const int64_t size = (int64_t)starts[row + 1] - 1 - starts[row];
        if (!size)
            values[row] = NAN;
        else if (!decimal(text + starts[row], size, values + row))
            return 0;
    }
    return 1;
}

/* Decimals of strings that lie one after another: 1 when all are whole, 2 when some have a point, 0 when one is no decimal
 * or has a zero before its other digits. */
int64_t mpiedge_text_decimals(const uint8_t *text, const int32_t *length, int64_t count, double *values)
{
    int64_t most = 1;
    for (int64_t i = 0; i < count; text += length[i++]) {
        const int form = decimal(text, length[i], values + i);
        if (!form || (length[i] > 1 && text[0] == '0' && digit(text[1])))
            return 0;
        if (form > most)
            most = form;
    }
    return most;
}

/* Whole numbers of at most 18 digits. Returns 0 at the first other cell. */
int64_t mpiedge_read_integers(const uint8_t *text, const uint32_t *starts, int64_t rows, int64_t *values)
{
    for (int64_t row = 0; row < rows; row++) {
        const uint8_t *cell = text + starts[row];
        const int64_t size = (int64_t)starts[row + 1] - 1 - starts[row];
        const int64_t from = size && (cell[0] == '+' || cell[0] == '-');
        int64_t number = 0;
        if (size == from || size - from > 18 || digits(cell, from, size) != size)
            return 0;
        for (int64_t at = from; at < size; at++)
            number = 10 * number + cell[at] - '0';
        values[row] = from && cell[0] == '-' ? -number : number;
    }
    return 1;
}

/* Whether every cell is empty or a day of the calendar as YYYY-MM-DD, with or without a time of day behind it. */
int64_t mpiedge_are_iso_dates(const uint8_t *text, const uint32_t *starts, int64_t rows)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int64_t row = 0; row < rows; row++) {
        const uint8_t *cell = text + starts[row];
        const int64_t size = (int64_t)starts[row + 1] - 1 - starts[row];
        int part[3];
        int64_t end;
        if (!size)
            continue;
        if (date_form(cell, size, part, &end) != YMD_DASH || end != 10 || (size > 10 && !is_time(cell + 10, size - 10)))
            return 0;
        if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1)
            return 0;
        const int leap = part[0] % 4 == 0 && (part[0] % 100 != 0 || part[0] % 400 == 0);
        if (part[2] > days[part[1] - 1] + (leap && part[1] == 2))
            return 0;
    }
    return 1;
}
