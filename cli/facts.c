/*
 * facts.c: what is known of a model file, for people: of a version that a server keeps, and of a file here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "registry/inspect.h"

#define OPERATORS_SHOWN 12
#define GLOBALS_SHOWN 20

static void print_row(td_cli *cli, const char *title, const td_str *text)
{
    if (text->size > 0) {
        td_print_line(cli, "%s%-14s%s  %s", td_tint_code(cli, TD_TINT_FAINT), title, td_tint_code(cli, TD_TINT_NONE),
                      td_str_text(text));
    }
}

static void add_value(td_str *out, const json_t *value)
{
    td_cell_add(out, value, TD_CELL_TEXT);
}

static void print_ports(td_cli *cli, const json_t *facts, const char *list)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const json_t *ports = json_object_get(facts, list);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        const json_t *shape = json_object_get(port, "shape");
        td_str_add(&text, i > 0 ? ", " : "");
        add_value(&text, json_object_get(port, "name"));
        td_str_add_char(&text, ' ');
        add_value(&text, json_object_get(port, "type"));
        for (size_t d = 0; d < json_array_size(shape); d++) {
            const json_t *dim = json_array_get(shape, d);
            td_str_add(&text, d == 0 ? "[" : ", ");
            if (json_is_null(dim)) {
                td_str_add_char(&text, '?');
            } else {
                add_value(&text, dim);
            }
        }
        td_str_add(&text, json_array_size(shape) > 0 ? "]" : "");
    }
    print_row(cli, list, &text);
}

/* "Gemm 2, Relu 1, local.Twice 1 (custom), 3 more" */
static void print_operators(td_cli *cli, const json_t *operators)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    size_t count = json_array_size(operators);
    for (size_t i = 0; i < count && i < OPERATORS_SHOWN; i++) {
        const json_t *op = json_array_get(operators, i);
        const char *domain = td_json_text(op, "domain", "");
        bool plain = strcmp(domain, "ai.onnx") == 0 || strcmp(domain, "tflite") == 0 || strcmp(domain, "custom") == 0;
        td_str_add(&text, i > 0 ? ", " : "");
        if (!plain) {
            add_value(&text, json_object_get(op, "domain"));
            td_str_add_char(&text, '.');
        }
        add_value(&text, json_object_get(op, "name"));
        td_str_addf(&text, " %lld", (long long)td_json_int(op, "count", 0));
        td_str_add(&text, td_json_bool(op, "custom", false) ? " (custom)" : "");
    }
    if (count > OPERATORS_SHOWN) {
        td_str_addf(&text, ", %zu more", count - OPERATORS_SHOWN);
    }
    print_row(cli, "operators", &text);
}

static void print_flavors(td_cli *cli, const json_t *facts)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const json_t *details = json_object_get(facts, "details");
    const json_t *mlflow = json_object_get(details, "mlflow");
    td_cell_add(&text, json_object_get(mlflow != NULL ? mlflow : details, "flavors"), TD_CELL_LIST);
    print_row(cli, "flavours", &text);
}

static void print_globals(td_cli *cli, const json_t *globals)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    size_t count = json_array_size(globals);
    for (size_t i = 0; i < count && i < GLOBALS_SHOWN; i++) {
        const json_t *global = json_array_get(globals, i);
        td_str_add(&text, i > 0 ? ", " : "");
        add_value(&text, json_object_get(global, "module"));
        td_str_add_char(&text, '.');
        add_value(&text, json_object_get(global, "name"));
        td_str_addf(&text, " (%.12s)", td_json_text(global, "verdict", ""));
    }
    if (count > GLOBALS_SHOWN) {
        td_str_addf(&text, ", %zu more", count - GLOBALS_SHOWN);
    }
    print_row(cli, "loads", &text);
}

static void print_risks(td_cli *cli, const json_t *risks)
{
    size_t index;
    json_t *risk;
    json_array_foreach ((json_t *)risks, index, risk) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        add_value(&text, json_object_get(risk, "text"));
        td_print_line(cli, "%s%-14s%s  %s", td_tint_code(cli, TD_TINT_WARN), "risk", td_tint_code(cli, TD_TINT_NONE),
                      td_str_text(&text));
    }
}

static void print_verdict(td_cli *cli, const json_t *found)
{
    const char *verdict = td_json_text(found, "verdict", "none");
    if (strcmp(verdict, "none") != 0) {
        td_print_line(cli, "%s%-14s%s  %s%s%s: quarantined, never packed nor sent to a device",
                      td_tint_code(cli, TD_TINT_FAINT), "verdict", td_tint_code(cli, TD_TINT_NONE),
                      td_tint_code(cli, strcmp(verdict, "dangerous") == 0 ? TD_TINT_BAD : TD_TINT_WARN), verdict,
                      td_tint_code(cli, TD_TINT_NONE));
    }
    print_globals(cli, json_object_get(found, "globals"));
    print_risks(cli, json_object_get(found, "risks"));
}

void td_cli_print_facts(td_cli *cli, const json_t *facts)
{
    static const td_column_spec head[] = {
        {"format", "format", TD_CELL_TEXT},
        {"format_version", "format version", TD_CELL_TEXT},
        {"name", "name", TD_CELL_TEXT},
        {"producer", "producer", TD_CELL_TEXT},
        {"details.architecture", "architecture", TD_CELL_TEXT},
        {"details.context_length", "context length", TD_CELL_NUMBER},
        {"details.license", "licence", TD_CELL_TEXT},
        {0},
    };
    static const td_column_spec size[] = {
        {"opsets", "opset", TD_CELL_PAIRS},
        {"tensors", "tensors", TD_CELL_NUMBER},
        {"types", "element types", TD_CELL_PAIRS},
        {"parameters", "parameters", TD_CELL_NUMBER},
        {"parameter_bytes", "weights", TD_CELL_BYTES},
        {"quantization", "quantisation", TD_CELL_TEXT},
        {"details.arena_bytes_min", "arena at least", TD_CELL_BYTES},
        {0},
    };
    if (facts == NULL || json_is_null(facts)) {
        return;
    }
    td_print_fields(cli, head, facts);
    print_ports(cli, facts, "inputs");
    print_ports(cli, facts, "outputs");
    print_ports(cli, facts, "params");
    print_operators(cli, json_object_get(facts, "operators"));
    if (td_json_int(facts, "tensors", 0) > 0) {
        td_print_fields(cli, size, facts);
    }
    print_flavors(cli, facts);
    print_verdict(cli, facts);
}

/* Quarantined files whose own facts are not shown (the model file's are). */
void td_cli_print_scans(td_cli *cli, const json_t *version)
{
    const char *format = td_json_text(json_object_get(version, "facts"), "format", "");
    size_t index;
    json_t *scan;
    json_array_foreach (json_object_get(version, "scans"), index, scan) {
        const char *verdict = td_json_text(scan, "verdict", "none");
        if (strcmp(verdict, "none") != 0 && strcmp(td_json_text(scan, "format", ""), format) != 0) {
            TD_CLEANUP(td_str_done) td_str title = {0};
            add_value(&title, json_object_get(scan, "file"));
            td_print_title(cli, td_str_text(&title));
            print_verdict(cli, scan);
        }
    }
}

/* ---- files here ---- */

static td_code look_at(td_cli *cli, const char *path, td_inspection *out, td_err *err)
{
    const char *names[TD_CLI_ARGUMENTS_MAX + 1];
    size_t count = 0;
    struct stat st;
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is no regular file", path);
    }
    for (int i = 0; i < cli->argument_count; i++) {
        if (strcmp(cli->arguments[i], path) != 0) {
            names[count++] = td_cli_base_name(cli->arguments[i]);
        }
    }
    names[count] = NULL;
    td_inspect_options options = {.name = td_cli_base_name(path), .files = names};
    return td_inspect_fd(fd, (uint64_t)st.st_size, &options, out, err);
}

static void print_file(td_cli *cli, const char *path, const td_inspection *found, bool last)
{
    td_print_title(cli, path);
    if (found->facts == NULL) {
        td_print_line(cli, "Nothing is read out of this file: its format is not known.");
    }
    if (found->promised != NULL) {
        td_print_line(cli, "It is not what its name says (%s).", found->promised);
    }
    td_cli_print_facts(cli, found->facts);
    if (!last) {
        (void)fputc('\n', cli->out);
    }
}

td_code td_cli_inspect(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *files = json_array();
    const char *refused = NULL;
    for (int i = 0; i < cli->argument_count; i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = {0};
        const char *path = cli->arguments[i];
        TD_TRY(look_at(cli, path, &found, err));
        bool bad = found.verdict != TD_VERDICT_NONE || found.promised != NULL;
        refused = bad && refused == NULL ? path : refused;
        if (!cli->json) {
            print_file(cli, path, &found, i + 1 == cli->argument_count);
        } else if (json_array_append_new(files, td_inspection_json(path, &found)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory to describe %s", path);
        }
    }
    if (cli->json) {
        td_print_json(cli, json_array_size(files) == 1 ? json_array_get(files, 0) : files);
    }
    if (refused != NULL && td_cli_has(cli, "strict")) {
        return td_fail(err, TD_CORRUPT, "%s is quarantined, or is not what its name says", refused);
    }
    return TD_OK;
}
