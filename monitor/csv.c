/*
 * csv.c: see csv.h. One small state machine over the bytes; a record's fields lie NUL-terminated, one after the other,
 * in one buffer that never exceeds TD_BASELINE_LINE_MAX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

typedef enum csv_state { FIELD_START, PLAIN, QUOTED, QUOTE_SEEN, RECORD_DONE } csv_state;

struct td_csv {
    td_csv_source source;
    char input[READ_BYTES];
    size_t input_at, input_size;
    bool ended;
    char *record;
    size_t record_size, record_room;
    size_t starts[TD_BASELINE_COLUMNS_MAX];
    size_t count;
    int64_t line;       /* of the next byte */
    int64_t began_line; /* of the record */
};

static long read_fd(void *context, void *out, size_t room)
{
    ssize_t got;
    do {
        got = read(*(int *)context, out, room);
    } while (got < 0 && errno == EINTR);
    return (long)got;
}

static int rewind_fd(void *context)
{
    return lseek(*(int *)context, 0, SEEK_SET) < 0 ? -1 : 0;
}

td_csv_source td_csv_source_fd(int *fd_storage, const char *name)
{
    return (td_csv_source){.read = read_fd, .rewind = rewind_fd, .context = fd_storage, .name = name};
}

void td_csv_close(td_csv **csv)
{
    if (*csv != NULL) {
        free((*csv)->record);
        free(*csv);
        *csv = NULL;
    }
}

/* The next byte, or -1 at the end. */
static td_code next_byte(td_csv *csv, int *byte_out, td_err *err)
{
    if (csv->input_at == csv->input_size && !csv->ended) {
        long got = csv->source.read(csv->source.context, csv->input, sizeof csv->input);
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", csv->source.name);
        }
        csv->ended = got == 0;
        csv->input_size = (size_t)got;
        csv->input_at = 0;
    }
    *byte_out = csv->ended ? -1 : (unsigned char)csv->input[csv->input_at++];
    return TD_OK;
}

static void skip_mark(td_csv *csv)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (csv->input_size >= 3 && memcmp(csv->input, mark, 3) == 0) {
        csv->input_at = 3;
    }
}

td_code td_csv_open(const td_csv_source *source, td_csv **out, td_err *err)
{
    if (source->rewind(source->context) != 0) {
        return td_fail_errno(err, errno, "%s cannot be read twice", source->name);
    }
    TD_CLEANUP(td_csv_close) td_csv *csv = calloc(1, sizeof *csv);
    if (csv == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    csv->source = *source;
    csv->line = 1;
    int byte = -1;
    TD_TRY(next_byte(csv, &byte, err));
    csv->input_at = 0;
    skip_mark(csv);
    *out = csv;
    csv = NULL;
    return TD_OK;
}

static td_code put(td_csv *csv, char c, td_err *err)
{
    if (csv->record_size == csv->record_room) {
        if (csv->record_room >= TD_BASELINE_LINE_MAX) {
            return td_fail(err, TD_LIMIT, "%s:%lld: the record is longer than %d bytes; is a quote unfinished?",
                           csv->source.name, (long long)csv->began_line, TD_BASELINE_LINE_MAX);
        }
        size_t room = csv->record_room == 0 ? 4096 : csv->record_room * 2;
        char *grown = realloc(csv->record, room);
        if (grown == NULL) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
        csv->record = grown;
        csv->record_room = room;
    }
    csv->record[csv->record_size++] = c;
    return TD_OK;
}

static td_code field_begin(td_csv *csv, td_err *err)
{
    if (csv->count == TD_BASELINE_COLUMNS_MAX) {
        return td_fail(err, TD_LIMIT, "%s:%lld: more than %d columns", csv->source.name, (long long)csv->began_line,
                       TD_BASELINE_COLUMNS_MAX);
    }
    csv->starts[csv->count++] = csv->record_size;
    return TD_OK;
}

/* What a byte outside quotes does: ends the field, the record, or joins the field. */
static td_code take_plain(td_csv *csv, int byte, csv_state *state, td_err *err)
{
    if (byte == ',') {
        TD_TRY(put(csv, '\0', err));
        *state = FIELD_START;
        return field_begin(csv, err);
    }
    if (byte == '\n' || byte < 0) {
        bool carriage = *state == PLAIN && csv->record_size > csv->starts[csv->count - 1] &&
                        csv->record[csv->record_size - 1] == '\r';
        csv->record_size -= carriage;
        *state = RECORD_DONE;
        return put(csv, '\0', err);
    }
    if (byte == '"') {
        if (*state == FIELD_START) {
            *state = QUOTED;
            return TD_OK;
        }
        return td_fail(err, TD_INVALID,
                       "%s:%lld: a quote inside field %zu; put the field in quotes and write \"\" for it",
                       csv->source.name, (long long)csv->line, csv->count);
    }
    *state = PLAIN;
    return put(csv, (char)byte, err);
}

static td_code take_quoted(td_csv *csv, int byte, csv_state *state, td_err *err)
{
    if (byte < 0) {
        return td_fail(err, TD_INVALID, "%s:%lld: a quoted field that begins in this record is never closed",
                       csv->source.name, (long long)csv->began_line);
    }
    if (byte == '"') {
        *state = QUOTE_SEEN;
        return TD_OK;
    }
    return put(csv, (char)byte, err);
}

static td_code take_after_quote(td_csv *csv, int byte, csv_state *state, td_err *err)
{
    if (byte == '"') {
        *state = QUOTED;
        return put(csv, '"', err);
    }
    if (byte == '\r') {
        return TD_OK; /* of CRLF */
    }
    if (byte == ',' || byte == '\n' || byte < 0) {
        return take_plain(csv, byte, state, err);
    }
    return td_fail(err, TD_INVALID, "%s:%lld: text after the closing quote of field %zu", csv->source.name,
                   (long long)csv->line, csv->count);
}

static td_code take(td_csv *csv, int byte, csv_state *state, td_err *err)
{
    if (byte == 0) {
        return td_fail(err, TD_INVALID, "%s:%lld: a NUL byte; this is not CSV text", csv->source.name,
                       (long long)csv->line);
    }
    switch (*state) {
    case QUOTED:
        return take_quoted(csv, byte, state, err);
    case QUOTE_SEEN:
        return take_after_quote(csv, byte, state, err);
    default:
        return take_plain(csv, byte, state, err);
    }
}

td_code td_csv_next(td_csv *csv, bool *row_out, td_err *err)
{
    for (;;) {
        csv_state state = FIELD_START;
        csv->count = 0;
        csv->record_size = 0;
        csv->began_line = csv->line;
        TD_TRY(field_begin(csv, err));
        bool any = false, quoted = false;
        while (state != RECORD_DONE) {
            int byte = -1;
            TD_TRY(next_byte(csv, &byte, err));
            if (byte < 0 && !any) {
                *row_out = false;
                return TD_OK;
            }
            any = true;
            TD_TRY(take(csv, byte, &state, err));
            quoted |= state == QUOTED;
            csv->line += byte == '\n';
        }
        if (csv->count > 1 || quoted || csv->record[0] != '\0') {
            *row_out = true;
            return TD_OK;
        }
    }
}

size_t td_csv_count(const td_csv *csv)
{
    return csv->count;
}

const char *td_csv_field(const td_csv *csv, size_t index)
{
    return csv->record + csv->starts[index];
}

int64_t td_csv_line(const td_csv *csv)
{
    return csv->began_line;
}

const char *td_csv_name(const td_csv *csv)
{
    return csv->source.name;
}
