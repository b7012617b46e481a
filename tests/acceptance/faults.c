/* What a test cannot do to a machine without being root, done to the programs that are started with this preloaded:
 * the clock jumps, and the disk below one folder is full. The switches are eight bytes each in a shared file:
 * how far the clock is ahead, in nanoseconds, and whether the disk is full.
 *
 *   cc -shared -fPIC -O1 -o faults.so faults.c -ldl
 *   LD_PRELOAD=faults.so FAULTS_FILE=switches FAULTS_ROOT=/the/folder program
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct switches { volatile int64_t ahead_ns; volatile int64_t full; };
static struct switches none;
static struct switches *now = &none;
static const char *root;

__attribute__((constructor)) static void look(void) {
    const char *file = getenv("FAULTS_FILE");
    root = getenv("FAULTS_ROOT");
    int fd = file && root ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) now = found;
    close(fd);
}

static int is_ours(const char *path) { return root && strncmp(path, root, strlen(root)) == 0; }

static int has_no_room(int fd) {
    char link[64], path[4096];
    struct stat about;
    if (!now->full || syscall(SYS_fstat, fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int code = (int)syscall(SYS_clock_gettime, clock, time);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = time->tv_sec * 1000000000LL + time->tv_nsec + now->ahead_ns;
        time->tv_sec = ns / 1000000000LL;
        time->tv_nsec = ns % 1000000000LL;
    }
    return code;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec found;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &found);
    time->tv_sec = found.tv_sec;
    time->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (out) *out = found.tv_sec;
    return found.tv_sec;
}

#define NO_ROOM(type, name, parameters, arguments) \
    type name parameters { \
        static type (*real) parameters; \
        if (!real) real = (type (*) parameters)dlsym(RTLD_NEXT, #name); \
        if (has_no_room(fd)) { errno = ENOSPC; return -1; } \
        return real arguments; \
    }
NO_ROOM(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
NO_ROOM(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
NO_ROOM(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))

#define FULL(name, kind) \
    int name(const char *restrict path, struct kind *restrict about) { \
        static int (*real)(const char *restrict, struct kind *restrict); \
        if (!real) real = (int (*)(const char *restrict, struct kind *restrict))dlsym(RTLD_NEXT, #name); \
        int code = real(path, about); \
        if (code == 0 && now->full && is_ours(path)) about->f_bfree = about->f_bavail = 0; \
        return code; \
    }
FULL(statvfs, statvfs)
FULL(statvfs64, statvfs64)
