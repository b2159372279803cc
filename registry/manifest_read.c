/*
 * manifest_read.c: reading manifests from anywhere: strict, bounded, and refusing what building never makes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/manifest_internal.h"
#include "registry/proto.h"

#include <string.h>

#define CREATED_MS_MAX 253402300799999u

static td_code malformed(td_err *err, const td_proto_field *field, const char *what)
{
    return td_fail(err, TD_CORRUPT, "manifest, byte %zu, field %u: %s", field->offset, field->number, what);
}

static bool is_printable(const td_proto_field *field)
{
    for (size_t i = 0; i < field->size; i++) {
        if (field->data[i] < 0x20 || field->data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* A text of at most `most` printable ASCII characters, copied into the arena; each field at most once. */
static td_code read_text(const td_proto_field *field, size_t most, td_arena *arena, const char **out, td_err *err)
{
    if (field->wire != TD_PROTO_BYTES || field->size > most || !is_printable(field)) {
        return malformed(err, field, "printable text expected, or it is too long");
    }
    if (*out != NULL) {
        return malformed(err, field, "given twice");
    }
    char *text = td_arena_alloc(arena, field->size + 1);
    if (text == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read a manifest");
    }
    memcpy(text, field->data, field->size);
    *out = text;
    return TD_OK;
}

static td_code read_digest(const td_proto_field *field, uint8_t out[TD_DIGEST_SIZE], td_err *err)
{
    if (field->wire != TD_PROTO_BYTES || field->size != TD_DIGEST_SIZE) {
        return malformed(err, field, "a digest of 32 bytes expected");
    }
    memcpy(out, field->data, TD_DIGEST_SIZE);
    return TD_OK;
}

static td_code read_u32(const td_proto_field *field, uint32_t *out, td_err *err)
{
    if (field->wire != TD_PROTO_VARINT || field->value > UINT32_MAX) {
        return malformed(err, field, "a 32-bit number expected");
    }
    *out = (uint32_t)field->value;
    return TD_OK;
}

static td_code read_u64(const td_proto_field *field, uint64_t *out, td_err *err)
{
    if (field->wire != TD_PROTO_VARINT) {
        return malformed(err, field, "a number expected");
    }
    *out = field->value;
    return TD_OK;
}

/* ---- files ---- */

static td_code read_role(const td_proto_field *field, td_file_role *out, td_err *err)
{
    if (field->wire != TD_PROTO_VARINT || field->value >= TD_FILE_ROLE_COUNT) {
        return malformed(err, field, "unknown role of a file");
    }
    *out = (td_file_role)field->value;
    return TD_OK;
}

static td_code read_file_field(const td_proto_field *field, td_arena *arena, td_manifest_file *file, td_err *err)
{
    switch (field->number) {
    case 1:
        return read_text(field, TD_FILE_NAME_MAX, arena, &file->name, err);
    case 2:
        return read_u64(field, &file->size, err);
    case 3:
        return read_digest(field, file->digest, err);
    case 4:
        return read_role(field, &file->role, err);
    case 5:
        return read_u32(field, &file->piece_size, err);
    case 6:
        file->has_pieces = true;
        return read_digest(field, file->piece_table_digest, err);
    default:
        return malformed(err, field, "unknown field of a file");
    }
}

static td_code check_file(const td_proto_field *field, const td_manifest *m, const td_manifest_file *file, td_err *err)
{
    static const uint8_t none[TD_DIGEST_SIZE];
    td_err problem;
    if (file->name == NULL || memcmp(file->digest, none, sizeof none) == 0) {
        return malformed(err, field, "a file without name or digest");
    }
    if (td_manifest__name_check(file->name, strlen(file->name), file->role, &problem) != TD_OK) {
        return malformed(err, field, problem.text);
    }
    if (m->file_count > 0 && strcmp(m->files[m->file_count - 1].name, file->name) >= 0) {
        return malformed(err, field, "the files are not sorted by name, or one is listed twice");
    }
    if (file->size > TD_CONTENT_OBJECT_MAX || file->piece_size != td_piece_size(file->size) ||
        file->has_pieces != (file->size > file->piece_size)) {
        return malformed(err, field, "size and pieces of a file do not fit together");
    }
    return TD_OK;
}

static td_code read_file(const td_proto_field *outer, td_arena *arena, td_manifest *m, td_err *err)
{
    td_manifest_file file = {.name = NULL};
    td_proto_field field;
    if (outer->wire != TD_PROTO_BYTES || m->file_count == TD_MANIFEST_FILES_MAX) {
        return malformed(err, outer, "too many files");
    }
    td_proto_reader reader = td_proto_open(outer->data, outer->size);
    while (td_proto_next(&reader, &field)) {
        field.offset += outer->offset;
        TD_TRY(read_file_field(&field, arena, &file, err));
    }
    if (reader.failed) {
        return malformed(err, outer, "a file is cut short or garbled");
    }
    TD_TRY(check_file(outer, m, &file, err));
    m->files[m->file_count++] = file;
    return TD_OK;
}

/* ---- the rest ---- */

static td_code read_requirement(const td_proto_field *outer, td_arena *arena, td_manifest *m, td_err *err)
{
    td_proto_field field;
    td_proto_reader reader = td_proto_open(outer->data, outer->wire == TD_PROTO_BYTES ? outer->size : 0);
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(read_text(&field, 64, arena, &m->hardware, err));
        } else if (field.number == 2 && m->runtime_count < TD_COUNT_OF(m->runtimes)) {
            TD_TRY(read_text(&field, 32, arena, &m->runtimes[m->runtime_count], err));
            m->runtime_count++;
        } else if (field.number == 3) {
            TD_TRY(read_u64(&field, &m->ram_bytes, err));
        } else {
            return malformed(err, outer, "unknown requirement, or too many runtimes");
        }
    }
    return reader.failed ? malformed(err, outer, "the requirement is cut short or garbled") : TD_OK;
}

static td_code read_field(const td_proto_field *field, td_arena *arena, td_manifest *m, td_err *err)
{
    switch (field->number) {
    case 1:
        return read_text(field, 128, arena, &m->project, err);
    case 2:
        return read_text(field, 128, arena, &m->model, err);
    case 3:
        return read_u32(field, &m->version, err);
    case 4:
        return read_u32(field, &m->security_counter, err);
    case 5:
        return read_text(field, 16, arena, &m->format, err);
    case 6:
        m->has_edges = true;
        return read_digest(field, m->edges_digest, err);
    case 7:
        return read_requirement(field, arena, m, err);
    case 8:
        return read_u64(field, &m->created_ms, err);
    case 9:
        return read_file(field, arena, m, err);
    default:
        return malformed(err, field, "unknown field");
    }
}

static td_code check_head(td_manifest *m, td_err *err)
{
    if (m->project == NULL || m->model == NULL || m->format == NULL || m->version == 0 || m->security_counter == 0 ||
        m->file_count == 0) {
        return td_fail(err, TD_CORRUPT,
                       "manifest: project, model, version, security counter, format or files are missing");
    }
    if (m->created_ms > CREATED_MS_MAX) {
        return td_fail(err, TD_CORRUPT, "manifest: the time of creation is beyond the year 9999");
    }
    m->hardware = m->hardware != NULL ? m->hardware : "";
    return TD_OK;
}

td_code td_manifest_read(const void *bytes, size_t size, td_arena *arena, td_manifest *out, td_err *err)
{
    td_manifest m = {.project = NULL};
    td_proto_field field;
    if (size == 0 || size > TD_MANIFEST_BYTES_MAX) {
        return td_fail(err, TD_CORRUPT, "a manifest has 1 to %zu bytes, not %zu", TD_MANIFEST_BYTES_MAX, size);
    }
    m.files = td_arena_alloc(arena, TD_MANIFEST_FILES_MAX * sizeof *m.files);
    if (m.files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read a manifest");
    }
    td_proto_reader reader = td_proto_open(bytes, size);
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_field(&field, arena, &m, err));
    }
    if (reader.failed) {
        return td_fail(err, TD_CORRUPT, "manifest, byte %zu: it is cut short or garbled",
                       (size_t)(reader.next - reader.start));
    }
    TD_TRY(check_head(&m, err));
    *out = m;
    return TD_OK;
}
