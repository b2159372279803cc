/*
 * digest.c: SHA-256, HMAC, randomness and constant-time helpers, through libcrypto.
 *
 * libcrypto uses the processor's SHA instructions, about six times the speed of a portable implementation; a file is
 * read in large blocks so that hashing, not reading, is what costs. SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/crypto/crypto.h"
#include "core/crypto/mbed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>

#define READ_BLOCK ((size_t)256 * 1024)

struct td_sha256 {
    EVP_MD_CTX *context;
};

/* Found once: with EVP_sha256() libcrypto looks for the implementation anew each time, longer than a short text
 * takes. */
static EVP_MD *found_sha256;
static pthread_once_t find_once = PTHREAD_ONCE_INIT;

static void find_sha256(void)
{
    found_sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
}

static const EVP_MD *sha256(void)
{
    pthread_once(&find_once, find_sha256);
    return found_sha256 != NULL ? found_sha256 : EVP_sha256();
}

td_code td_crypto_setup(td_err *err)
{
    uint8_t probe[1];
    TD_TRY(td_random(probe, sizeof probe, err));
    return td_mbed__setup(err);
}

td_code td_random(void *out, size_t size, td_err *err)
{
    unsigned char *at = out;
    while (size > 0) {
        int part = size > INT_MAX ? INT_MAX : (int)size;
        if (RAND_bytes(at, part) != 1) {
            return td_fail(err, TD_IO, "the system's random generator gave no bytes; is /dev/urandom readable?");
        }
        at += part;
        size -= (size_t)part;
    }
    return TD_OK;
}

bool td_equal_secret(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void td_wipe(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

td_code td_sha256_new(td_sha256 **out, td_err *err)
{
    td_sha256 *hash = calloc(1, sizeof *hash);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (hash == NULL || context == NULL || EVP_DigestInit_ex(context, sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        free(hash);
        return td_fail(err, TD_NOMEM, "no memory for a SHA-256 context");
    }
    hash->context = context;
    *out = hash;
    return TD_OK;
}

/* libcrypto's digest calls on a context that was set up fail only by misuse. */
void td_sha256_update(td_sha256 *hash, const void *data, size_t size)
{
    int done = EVP_DigestUpdate(hash->context, data, size);
    assert(done == 1);
    (void)done;
}

void td_sha256_final(td_sha256 *hash, uint8_t digest[TD_DIGEST_SIZE])
{
    int done = EVP_DigestFinal_ex(hash->context, digest, NULL);
    assert(done == 1);
    done = EVP_DigestInit_ex(hash->context, NULL, NULL);
    assert(done == 1);
    (void)done;
}

void td_sha256_free(td_sha256 **hash)
{
    if (hash != NULL && *hash != NULL) {
        EVP_MD_CTX_free((*hash)->context);
        free(*hash);
        *hash = NULL;
    }
}

void td_sha256_of(const void *data, size_t size, uint8_t digest[TD_DIGEST_SIZE])
{
    int done = EVP_Digest(data, size, digest, NULL, sha256(), NULL);
    assert(done == 1); /* out of memory for 400 bytes: nothing sensible can go on */
    (void)done;
}

static td_code hash_descriptor(int fd, const char *path, td_sha256 *hash, uint64_t *size_out, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(READ_BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read %s", path);
    }
    uint64_t total = 0;
    for (;;) {
        ssize_t got = read(fd, block, READ_BLOCK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", path);
        }
        if (got == 0) {
            break;
        }
        td_sha256_update(hash, block, (size_t)got);
        total += (uint64_t)got;
    }
    *size_out = total;
    return TD_OK;
}

td_code td_sha256_file(const char *path, uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return td_fail_errno(err, errno, "opening %s", path);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint; failing is harmless */
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_TRY(td_sha256_new(&hash, err));
    uint64_t size = 0;
    TD_TRY(hash_descriptor(fd, path, hash, &size, err));
    td_sha256_final(hash, digest);
    if (size_out != NULL) {
        *size_out = size;
    }
    return TD_OK;
}

void td_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t mac[TD_DIGEST_SIZE])
{
    assert(key_size <= INT_MAX);
    static const unsigned char nothing[1] = {0}; /* libcrypto takes NULL for "the same key as before" */
    const unsigned char *made = HMAC(sha256(), key != NULL ? key : nothing, (int)key_size,
                                     data != NULL ? data : nothing, size, mac, NULL);
    assert(made != NULL);
    (void)made;
}
