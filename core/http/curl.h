/*
 * curl.h: libcurl, loaded with the first request and not before.
 *
 * libcurl brings Kerberos, LDAP, SSH and thirty more libraries into a process. A server at rest, and every command that
 * works on files, need none of them: loading later saves half a MiB of private memory and some milliseconds of each
 * start. Include this header instead of <curl/curl.h>, call td_curl_load once, then libcurl's functions by their own
 * names.
 *
 * Threads: td_curl_load may be called by any thread, as often as wanted; libcurl's own rules hold after it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_HTTP_CURL_H
#define TD_CORE_HTTP_CURL_H

#include "core/base/err.h"

#define CURL_DISABLE_TYPECHECK /* its checks are macros by the names of the functions */
#include <curl/curl.h>

/* Loads libcurl and initialises it, once a process. IO: it is not installed (the message names the package). */
TD_MUST_USE td_code td_curl_load(td_err *err);

/* The functions that we call; one that is missing here does not link. */
#define TD_CURL_CALLS(X)                                                                                               \
    X(curl_global_init)                                                                                                \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_cleanup)                                                                                               \
    X(curl_easy_reset)                                                                                                 \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_slist_append)                                                                                               \
    X(curl_slist_free_all)                                                                                             \
    X(curl_multi_init)                                                                                                 \
    X(curl_multi_cleanup)                                                                                              \
    X(curl_multi_setopt)                                                                                               \
    X(curl_multi_add_handle)                                                                                           \
    X(curl_multi_remove_handle)                                                                                        \
    X(curl_multi_perform)                                                                                              \
    X(curl_multi_poll)                                                                                                 \
    X(curl_multi_wakeup)                                                                                               \
    X(curl_multi_info_read)

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#define TD_CURL_MEMBER(name) __typeof__(name) *name##_;
struct td_curl_calls {
    TD_CURL_CALLS(TD_CURL_MEMBER)
};
/* Set by td_curl_load; before it all are NULL. */
extern struct td_curl_calls td_curl_calls;

#ifndef TD_CURL_OWN_NAMES
#define curl_easy_init td_curl_calls.curl_easy_init_
#define curl_easy_cleanup td_curl_calls.curl_easy_cleanup_
#define curl_easy_reset td_curl_calls.curl_easy_reset_
#define curl_easy_setopt td_curl_calls.curl_easy_setopt_
#define curl_easy_getinfo td_curl_calls.curl_easy_getinfo_
#define curl_easy_perform td_curl_calls.curl_easy_perform_
#define curl_easy_strerror td_curl_calls.curl_easy_strerror_
#define curl_slist_append td_curl_calls.curl_slist_append_
#define curl_slist_free_all td_curl_calls.curl_slist_free_all_
#define curl_multi_init td_curl_calls.curl_multi_init_
#define curl_multi_cleanup td_curl_calls.curl_multi_cleanup_
#define curl_multi_setopt td_curl_calls.curl_multi_setopt_
#define curl_multi_add_handle td_curl_calls.curl_multi_add_handle_
#define curl_multi_remove_handle td_curl_calls.curl_multi_remove_handle_
#define curl_multi_perform td_curl_calls.curl_multi_perform_
#define curl_multi_poll td_curl_calls.curl_multi_poll_
#define curl_multi_wakeup td_curl_calls.curl_multi_wakeup_
#define curl_multi_info_read td_curl_calls.curl_multi_info_read_
#endif

#endif
