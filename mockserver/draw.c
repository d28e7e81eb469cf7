#include "draw.h"

#include <assert.h>

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

uint64_t draw_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t fnv1a64(uint64_t hash, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (unsigned char)data[i]) * FNV_PRIME;
    }
    return hash;
}

uint64_t draw_key(const char *path, size_t path_bytes)
{
    return fnv1a64(FNV_OFFSET, path, path_bytes);
}

uint64_t draw_key_numbered(const char *path, size_t path_bytes, uint64_t number)
{
    char digits[21];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    digits[--at] = '#';
    return fnv1a64(draw_key(path, path_bytes), digits + at, sizeof(digits) - at);
}

uint64_t draw_bits53(uint64_t seed, uint64_t key, uint32_t attempt, unsigned stream)
{
    assert(stream < 256);
    uint64_t place = (uint64_t)attempt << 8 | stream;
    return draw_mix(draw_mix(draw_mix(seed) ^ key) ^ draw_mix(place)) >> 11;
}

double draw_unit(uint64_t seed, uint64_t key, uint32_t attempt, unsigned stream)
{
    return (double)draw_bits53(seed, key, attempt, stream) * 0x1p-53;
}
