/* The checksum of HDF5's fletcher32 filter (plain version: fletcher.py). */
#include <stdint.h>

/* Words of two bytes, the first of them the higher; a last byte alone is one with 0 behind it. */
uint32_t mpiedge_fletcher32(const uint8_t *data, int64_t size) {
    uint32_t sum = 0, sums = 0;
    for (int64_t at = 0; at < size;) {
        const int64_t stop = size - at > 720 ? at + 720 : size;   /* so many words do not overflow */
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
