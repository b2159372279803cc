/*
 * driver.c: runs a fuzz target over files, so that each corpus is also a plain test without libFuzzer.
 *
 * Arguments are files or folders (one level); each file's bytes go to LLVMFuzzerTestOneInput in a buffer of exactly its
 * size, so that the address sanitizer sees a read past the end.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(file);
        return 0;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    size_t got = data != NULL ? fread(data, 1, size, file) : 0;
    fclose(file);
    if (data != NULL && got == size) {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return 1;
}

static int run_folder(const char *path, DIR *folder)
{
    int count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char name[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        int ran = run_file(name);
        if (ran < 0) {
            return -1;
        }
        count += ran;
    }
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        int ran = folder != NULL ? run_folder(argv[i], folder) : run_file(argv[i]);
        if (folder != NULL) {
            closedir(folder);
        }
        if (ran < 0) {
            return 1;
        }
        total += ran;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
