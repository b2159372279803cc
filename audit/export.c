/*
 * export.c: the log as one tar of plain files, streamed.
 *
 *   format.json                what this is, and the public keys
 *   checkpoint                 the signed note that covers everything in here
 *   records/000000000000.jsonl 1,024 records, one a line as they were hashed; an erased body is the line "erased"
 *   leaves/000000000000.bin    their leaves, 128 bytes each
 *
 * Records and leaves alternate, so that a verifier that reads forward needs the memory of one pair. Everything in the
 * tar is the same for the same log: times 0, names fixed. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/export.h"
#include "audit/internal.h"
#include "audit/note.h"
#include "audit/verify.h"

#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

typedef struct exporter {
    td_db *db;
    struct archive *tar;
    td_audit_sink sink;
    void *sink_context;
    td_err *err;
    td_code failed; /* of the sink */
    td_log_root root;
    td_str chunk;
} exporter;

static void free_writer(struct archive **tar)
{
    if (*tar != NULL) {
        archive_write_free(*tar);
        *tar = NULL;
    }
}

static la_ssize_t on_bytes(struct archive *tar, void *context, const void *data, size_t size)
{
    exporter *job = context;
    job->failed = job->failed != TD_OK ? job->failed : job->sink(job->sink_context, data, size, job->err);
    if (job->failed != TD_OK) {
        archive_set_error(tar, -1, "the sink refused");
        return -1;
    }
    return (la_ssize_t)size;
}

static td_code tar_failed(const exporter *job, td_err *err)
{
    const char *text = archive_error_string(job->tar);
    return job->failed != TD_OK
               ? job->failed
               : td_fail(err, TD_IO, "writing the export: %s", text != NULL ? text : "unknown error");
}

static td_code put_file(exporter *job, const char *name, const void *data, size_t size, td_err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to write the export");
    }
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0444);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, 0, 0);
    bool good = archive_write_header(job->tar, entry) == ARCHIVE_OK &&
                (size == 0 || archive_write_data(job->tar, data, size) == (la_ssize_t)size) &&
                archive_write_finish_entry(job->tar) == ARCHIVE_OK;
    archive_entry_free(entry);
    return good ? TD_OK : tar_failed(job, err);
}

static td_code put_format(exporter *job, const td_audit_keys *keys, td_err *err)
{
    char log[2 * TD_ED25519_PUBLIC_SIZE + 1];
    char submitter[2 * TD_ED25519_PUBLIC_SIZE + 1];
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_hex_encode(keys->log, sizeof keys->log, log);
    td_hex_encode(keys->submitter, sizeof keys->submitter, submitter);
    TD_TRY(td_log_vkey(keys->log, &vkey, err));
    td_str_addf(&text,
                "{\"format\":\"%s\",\"v\":1,\"size\":%lld,\"chunk\":%d,\"log\":\"%s\",\"submitter\":\"%s\",\"vkey\":"
                "\"%s\"}\n",
                TD_EXPORT_FORMAT, (long long)job->root.size, TD_EXPORT_CHUNK, log, submitter, td_str_text(&vkey));
    TD_TRY(td_str_check(&text, err));
    return put_file(job, TD_EXPORT_FORMAT_FILE, text.data, text.size, err);
}

static td_code add_line(void *context, const td_record_row *row, td_err *err)
{
    exporter *job = context;
    if (row->body == NULL && row->erased_by >= job->root.size) {
        return td_fail(err, TD_BUSY, "record %lld was erased this very second; try again", (long long)row->seq);
    }
    if (row->body != NULL) {
        td_str_append(&job->chunk, row->body, row->body_size);
    } else {
        td_str_add(&job->chunk, TD_EXPORT_ERASED);
    }
    td_str_add_char(&job->chunk, '\n');
    return td_str_check(&job->chunk, err);
}

static td_code put_chunk(exporter *job, int64_t first, int64_t end, td_err *err)
{
    char name[64];
    td_str_clear(&job->chunk);
    TD_TRY(td_record__each(job->db, first, end, add_line, job, err));
    snprintf(name, sizeof name, TD_EXPORT_RECORDS, (long long)first);
    TD_TRY(put_file(job, name, job->chunk.data, job->chunk.size, err));
    td_str_clear(&job->chunk);
    for (int64_t i = first; i < end; i++) {
        uint8_t leaf[TD_LOG_LEAF_SIZE];
        TD_TRY(td_log__leaf(job->db, i, leaf, err));
        td_str_append(&job->chunk, leaf, sizeof leaf);
    }
    TD_TRY(td_str_check(&job->chunk, err));
    snprintf(name, sizeof name, TD_EXPORT_LEAVES, (long long)first);
    return put_file(job, name, job->chunk.data, job->chunk.size, err);
}

static td_code export_all(exporter *job, const td_audit_keys *keys, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    TD_TRY(td_log__checkpoint(job->db, &job->root, &note, err));
    TD_TRY(put_format(job, keys, err));
    TD_TRY(put_file(job, TD_EXPORT_CHECKPOINT, note.data, note.size, err));
    for (int64_t first = 0; first < job->root.size; first += TD_EXPORT_CHUNK) {
        int64_t end = job->root.size - first < TD_EXPORT_CHUNK ? job->root.size : first + TD_EXPORT_CHUNK;
        TD_TRY(put_chunk(job, first, end, err));
    }
    return archive_write_close(job->tar) == ARCHIVE_OK ? TD_OK : tar_failed(job, err);
}

td_code td_audit_export(td_db *db, const td_audit_keys *keys, td_audit_sink sink, void *context, td_err *err)
{
    TD_CLEANUP(free_writer) struct archive *tar = archive_write_new();
    exporter job = {.db = db, .tar = tar, .sink = sink, .sink_context = context, .err = err};
    if (tar == NULL || archive_write_set_format_ustar(tar) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(tar, 1) != ARCHIVE_OK ||
        archive_write_open(tar, &job, NULL, on_bytes, NULL) != ARCHIVE_OK) {
        return td_fail(err, TD_NOMEM, "no memory to write the export");
    }
    TD_TRY(td_db_read_begin(db, err));
    td_code code = export_all(&job, keys, err);
    td_db_read_end(db);
    td_str_done(&job.chunk);
    if (code != TD_OK) {
        job.failed = code; /* freeing the writer must not call the sink again */
    }
    return code;
}
