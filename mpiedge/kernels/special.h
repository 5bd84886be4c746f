/* Which of 64 bytes are special ones: SSE2, NEON, or plain C. */
#ifndef MPIEDGE_SPECIAL_H
#define MPIEDGE_SPECIAL_H
#include <stdint.h>

enum { SPECIAL_BYTES = 64 };

#if defined(__SSE2__)
#include <emmintrin.h>
typedef __m128i special_vector;
#define special_fill(byte) _mm_set1_epi8((char)(byte))
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef uint8x16_t special_vector;
#define special_fill(byte) vdupq_n_u8((uint8_t)(byte))
#else
typedef uint8_t special_vector;
#define special_fill(byte) ((uint8_t)(byte))
#endif

/* Bit i: text[i] equals one of the `kinds` bytes (constant for the compiler, so that its loop is unrolled). */
static inline uint64_t special_mask(const uint8_t *text, const special_vector *bytes, int kinds)
{
    uint64_t mask = 0;
#if defined(__SSE2__)
    for (int part = 0; part < 4; part++) {
        const __m128i data = _mm_loadu_si128((const __m128i *)(text + 16 * part));
        __m128i found = _mm_cmpeq_epi8(data, bytes[0]);
        for (int kind = 1; kind < kinds; kind++)
            found = _mm_or_si128(found, _mm_cmpeq_epi8(data, bytes[kind]));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << (16 * part);
    }
#elif defined(__aarch64__)
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t found[4];
    for (int part = 0; part < 4; part++) {
        const uint8x16_t data = vld1q_u8(text + 16 * part);
        found[part] = vceqq_u8(data, bytes[0]);
        for (int kind = 1; kind < kinds; kind++)
            found[part] = vorrq_u8(found[part], vceqq_u8(data, bytes[kind]));
        found[part] = vandq_u8(found[part], bit);
    }
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(found[0], found[1]), vpaddq_u8(found[2], found[3]));
    sum = vpaddq_u8(sum, sum);
    mask = vgetq_lane_u64(vreinterpretq_u64_u8(sum), 0);
#else
    for (int i = 0; i < SPECIAL_BYTES; i++)
        for (int kind = 0; kind < kinds; kind++)
            mask |= (uint64_t)(text[i] == bytes[kind]) << i;
#endif
    return mask;
}
#endif
