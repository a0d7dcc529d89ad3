/* Loaded before the C library: lets the disk of the database fail while the file that
 * DOWNCITY_TEST_FAULT names holds the name of a fault.
 *
 *   full      there is no space left
 *   broken    writes fail
 *   unsynced  writes are taken and cannot be made durable
 *   readonly  nothing can be written, and files open for reading only
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATABASE "downcity.sqlite"
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_fault(const char *name) {
    const char *path = getenv("DOWNCITY_TEST_FAULT");
    char text[32] = "";
    int before = errno;
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (file >= 0) {
        long length = syscall(SYS_read, file, text, sizeof text - 1);
        text[length > 0 ? length : 0] = 0;
        syscall(SYS_close, file);
    }
    errno = before;
    return strcmp(text, name) == 0;
}

static int is_database(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int before = errno;
    long length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, DATABASE) != NULL;
}

/* The error that a write gets, or 0. */
static int write_error(int file) {
    if (!is_database(file)) return 0;
    if (is_fault("full")) return ENOSPC;
    if (is_fault("broken")) return EIO;
    if (is_fault("readonly")) return EROFS;
    return 0;
}

static int refuses(int error) {
    if (error) errno = error;
    return error;
}

ssize_t write(int file, const void *bytes, size_t count) {
    return refuses(write_error(file)) ? -1 : REAL(write)(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    return refuses(write_error(file)) ? -1 : REAL(pwrite)(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return refuses(write_error(file)) ? -1 : REAL(pwrite64)(file, bytes, count, at);
}

static int sync_error(int file) {
    return is_database(file) && is_fault("unsynced") ? EIO : 0;
}

int fsync(int file) {
    return refuses(sync_error(file)) ? -1 : REAL(fsync)(file);
}

int fdatasync(int file) {
    return refuses(sync_error(file)) ? -1 : REAL(fdatasync)(file);
}

static int open_error(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    return writes && strstr(path, DATABASE) && is_fault("readonly") ? EROFS : 0;
}

#define OPEN(name)                                                    \
    int name(const char *path, int flags, ...) {                      \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;     \
        va_end(rest);                                                 \
        if (refuses(open_error(path, flags))) return -1;              \
        return REAL(name)(path, flags, mode);                         \
    }

OPEN(open)
OPEN(open64)
