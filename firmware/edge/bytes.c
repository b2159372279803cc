/*
 * bytes.c: little-endian integers, CRC-32, and the grammars of names.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

void tde_put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

void tde_put64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

uint32_t tde_get32(const uint8_t *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        value |= (uint32_t)at[i] << (8 * i);
    }
    return value;
}

uint64_t tde_get64(const uint8_t *at)
{
    return (uint64_t)tde_get32(at) | (uint64_t)tde_get32(at + 4) << 32;
}

/* IEEE 802.3's polynomial, reflected, four bits at a time: 64 bytes of table. */
uint32_t tde_crc32(uint32_t crc, const void *data, size_t size)
{
    static const uint32_t nibbles[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                         0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                         0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    const uint8_t *at = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = nibbles[(crc ^ at[i]) & 15u] ^ (crc >> 4);
        crc = nibbles[(crc ^ (uint32_t)(at[i] >> 4)) & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

bool tde_is_zero(const uint8_t *digest)
{
    uint8_t any = 0;
    for (size_t i = 0; i < TDE_DIGEST_SIZE; i++) {
        any |= digest[i];
    }
    return any == 0;
}

uint32_t tde_round_up(uint32_t value, uint32_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static bool is_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_mark(char c)
{
    return c == '.' || c == '_' || c == '-';
}

bool tde_is_slot_name(const char *name)
{
    if (!is_word(name[0])) {
        return false;
    }
    size_t length = 1;
    while (name[length] != '\0') {
        if (!is_word(name[length]) && !is_mark(name[length])) {
            return false;
        }
        length++;
    }
    return length < TDE_SLOT_NAME_SIZE;
}

/* True for "", "." and "..": parts that a path may not have. */
static bool is_bad_part(const char *part, size_t length)
{
    return length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.');
}

bool tde_is_file_name(const char *name)
{
    size_t start = 0, i = 0;
    for (; name[i] != '\0'; i++) {
        if (name[i] == '/') {
            if (is_bad_part(name + start, i - start)) {
                return false;
            }
            start = i + 1;
        } else if (!is_word(name[i]) && !is_mark(name[i])) {
            return false;
        }
    }
    return i <= 200 && !is_bad_part(name + start, i - start);
}
