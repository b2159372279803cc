/*
 * curl.c: finds libcurl's functions by name in the shared library, once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define TD_CURL_OWN_NAMES
#include "core/http/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* its ABI since 2006 */

struct td_curl_calls td_curl_calls;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why[160]; /* empty: it is loaded */

static void find(void *library, const char *name, void **call_out)
{
    *call_out = dlsym(library, name);
    if (*call_out == NULL && why[0] == '\0') {
        (void)snprintf(why, sizeof why, LIBRARY " has no function %.60s", name);
    }
}

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)snprintf(why, sizeof why, LIBRARY " is needed for HTTP and is not here: apt-get install libcurl4");
        return;
    }
#define FIND(name) find(library, #name, (void **)&td_curl_calls.name##_);
    TD_CURL_CALLS(FIND)
    if (why[0] == '\0' && td_curl_calls.curl_global_init_(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)snprintf(why, sizeof why, LIBRARY " does not start");
    }
}

td_code td_curl_load(td_err *err)
{
    (void)pthread_once(&once, load);
    return why[0] == '\0' ? TD_OK : td_fail(err, TD_IO, "%s", why);
}
