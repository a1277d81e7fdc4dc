/* A disk that fails when told to, keeps a record, or is slow: preloaded into the process under test.
 *
 * DISK_SHIM_FOLDER   what lies below it is on that disk
 * DISK_SHIM_CONTROL  file with "write_errno read_errno sync_errno sync_delay_ms wall_offset_s", read at each call
 * DISK_SHIM_RECORD   file to which writes, cuts and syncs of *.sqlite3 and *.sqlite3-wal are appended:
 *                    struct record, then the bytes written
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct control { long write_errno, read_errno, sync_errno, sync_delay_ms, wall_offset_s; };

struct __attribute__((packed)) record { char operation, file; uint64_t offset; uint32_t length; };

static struct control control(void)
{
    struct control now = {0};
    char text[128] = "";
    const char *path = getenv("DISK_SHIM_CONTROL");
    int descriptor = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        ssize_t length = REAL(pread)(descriptor, text, sizeof text - 1, 0);
        REAL(close)(descriptor);
        text[length > 0 ? length : 0] = 0;
        sscanf(text, "%ld %ld %ld %ld %ld", &now.write_errno, &now.read_errno, &now.sync_errno,
               &now.sync_delay_ms, &now.wall_offset_s);
    }
    return now;
}

/* 0: elsewhere; 'd': a database; 'w': its log; 'o': another file on the disk. */
static char file_of(int descriptor)
{
    char link[64], path[PATH_MAX];
    const char *folder = getenv("DISK_SHIM_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!folder || length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder)))
        return 0;
    if (length > 8 && !strcmp(path + length - 8, ".sqlite3"))
        return 'd';
    if (length > 12 && !strcmp(path + length - 12, ".sqlite3-wal"))
        return 'w';
    return 'o';
}

static void keep(char operation, char file, uint64_t offset, const void *bytes, uint32_t length)
{
    const char *path = getenv("DISK_SHIM_RECORD");
    if (!path || (file != 'd' && file != 'w'))
        return;
    int saved = errno;
    int descriptor = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct record head = {operation, file, offset, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, bytes ? length : 0}};
    if (descriptor < 0 || writev(descriptor, parts, 2) < 0)
        abort();
    REAL(close)(descriptor);
    errno = saved;
}

static int fails(long number)
{
    if (number)
        errno = (int)number;
    return number != 0;
}

#define PWRITE(name, offset_type) \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type offset) \
    { \
        char file = file_of(descriptor); \
        if (file && fails(control().write_errno)) \
            return -1; \
        ssize_t written = REAL(name)(descriptor, bytes, length, offset); \
        if (file && written > 0) \
            keep('w', file, (uint64_t)offset, bytes, (uint32_t)written); \
        return written; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PREAD(name, offset_type) \
    ssize_t name(int descriptor, void *bytes, size_t length, offset_type offset) \
    { \
        if (file_of(descriptor) && fails(control().read_errno)) \
            return -1; \
        return REAL(name)(descriptor, bytes, length, offset); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int descriptor, const void *bytes, size_t length)
{
    char file = file_of(descriptor);
    if (file && fails(control().write_errno))
        return -1;
    if (file == 'd' || file == 'w')
        keep('w', file, (uint64_t)lseek(descriptor, 0, SEEK_CUR), bytes, (uint32_t)length);
    return REAL(write)(descriptor, bytes, length);
}

#define FTRUNCATE(name, offset_type) \
    int name(int descriptor, offset_type length) \
    { \
        char file = file_of(descriptor); \
        if (file && fails(control().write_errno)) \
            return -1; \
        int result = REAL(name)(descriptor, length); \
        if (file && !result) \
            keep('t', file, (uint64_t)length, NULL, 0); \
        return result; \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int descriptor) \
    { \
        char file = file_of(descriptor); \
        struct control now = control(); \
        if (file && now.sync_delay_ms) { \
            struct timespec pause = {now.sync_delay_ms / 1000, now.sync_delay_ms % 1000 * 1000000L}; \
            nanosleep(&pause, NULL); \
        } \
        if (file && fails(now.sync_errno)) \
            return -1; \
        int result = REAL(name)(descriptor); \
        if (file && !result) \
            keep('s', file, 0, NULL, 0); \
        return result; \
    }
SYNC(fsync)
SYNC(fdatasync)

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = REAL(clock_gettime)(clock, now);
    if (!result && clock == CLOCK_REALTIME)
        now->tv_sec += control().wall_offset_s;
    return result;
}
