/* Functions that are always inlined, and functions compiled once for each kind of processor. */
#ifndef MPIEDGE_PROCESSOR_H
#define MPIEDGE_PROCESSOR_H

#define INLINE static inline __attribute__((always_inline))

/* On x86-64 Linux the loader picks the version for the processor at hand (popcnt, AVX2; no fused sums, so that all give
 * the same). */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("avx2", "popcnt", "default")))
#else
#define PER_PROCESSOR
#endif

#endif
