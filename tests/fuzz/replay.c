/* Runs a fuzz target over stored inputs without a fuzzer: each argument is a file or a folder of
 * files. What once crashed is thereby tested in every build. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* In memory of just the file's size, so that a sanitizer sees a read beyond it. */
static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    uint8_t *bytes = NULL;
    size_t length = 0;
    bool ok = false;

    if (file != NULL && fstat(fileno(file), &status) == 0) {
        length = (size_t)status.st_size;
        bytes = malloc(length > 0 ? length : 1);
        ok = bytes != NULL && fread(bytes, 1, length, file) == length;
    }
    if (file != NULL)
        fclose(file);
    if (ok)
        LLVMFuzzerTestOneInput(bytes, length);
    else
        perror(path);
    free(bytes);
    return ok;
}

static bool replay_folder(const char *path, unsigned *count)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char file[4096];
    bool ok = true;

    if (folder == NULL) {
        perror(path);
        return false;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        ok = replay_file(file) && ok;
        (*count)++;
    }
    closedir(folder);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    bool ok = true;

    for (int i = 1; i < argc; i++) {
        struct stat status;

        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            ok = replay_folder(argv[i], &count) && ok;
        } else {
            ok = replay_file(argv[i]) && ok;
            count++;
        }
    }
    printf("%u inputs\n", count);
    return ok && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
