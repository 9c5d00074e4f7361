/* A disk that remembers and fails: loaded before libc, it sees every call that changes or reads files below DISK_ROOT.
 *
 * DISK_LOG names the file in which calls are written down, in their order, with their data; left out, none are.
 * disk_mark writes a word into that log; disk_fail lets one call to come fail; disk_calls counts calls so far.
 * disk_fail_read and disk_reads do the same for calls that only read, which have numbers of their own.
 * One lock around each call and its record keeps the record in the order in which the disk saw the calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHORT_WRITE (-1)
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int log_fd = -2;
static char root[PATH_MAX];
static size_t root_length;
static long calls, failing_call = -1, reads, failing_read = -1;
static int failing_with, read_failing_with;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
    const char *given = getenv("DISK_ROOT"), *log = getenv("DISK_LOG");
    if (given && !realpath(given, root)) abort();
    root_length = strlen(root);
    log_fd = log ? REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

static int inside(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int absolute(int folder, const char *path, char *out) {
    char base[PATH_MAX] = "";
    if (path[0] != '/') {
        char link[64];
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 2);
        if (length < 0) return 0;
        base[length] = '/';
        base[length + 1] = 0;
    }
    return snprintf(out, PATH_MAX, "%s%s", base, path) < PATH_MAX && inside(out);
}

static int held(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    if (length < 0) return 0;
    out[length] = 0;
    return inside(out);
}

static int64_t inode(int fd) {
    struct stat facts;
    return fstat(fd, &facts) ? -1 : (int64_t)facts.st_ino;
}

static void put(const void *bytes, size_t size) {
    while (size) {
        ssize_t done = REAL(write)(log_fd, bytes, size);
        if (done < 0) abort();
        bytes = (const char *)bytes + done;
        size -= (size_t)done;
    }
}

static void record(char what, int64_t file, int64_t offset, const char *path, const char *other, const void *data,
                   size_t size) {
    if (log_fd < 0) return;
    struct __attribute__((packed)) {
        char what;
        int64_t file, offset;
        uint32_t path, other, data;
    } head = {what, file, offset, (uint32_t)strlen(path), (uint32_t)strlen(other), (uint32_t)size};
    put(&head, sizeof head);
    put(path, head.path);
    put(other, head.other);
    put(data, size);
}

void disk_mark(const char *word) {
    pthread_mutex_lock(&lock);
    record('M', 0, 0, word, "", "", 0);
    pthread_mutex_unlock(&lock);
}

void disk_fail(long after, int with) {
    pthread_mutex_lock(&lock);
    failing_call = after < 0 ? -1 : calls + after;
    failing_with = with;
    pthread_mutex_unlock(&lock);
}

long disk_calls(void) { return calls; }

void disk_fail_read(long after, int with) {
    pthread_mutex_lock(&lock);
    failing_read = after < 0 ? -1 : reads + after;
    read_failing_with = with;
    pthread_mutex_unlock(&lock);
}

long disk_reads(void) { return reads; }

/* To be called once for each call that reads: whether it fails, with errno set. */
static int unreadable(void) {
    pthread_mutex_lock(&lock);
    int fails = reads++ == failing_read;
    pthread_mutex_unlock(&lock);
    if (fails) errno = read_failing_with;
    return fails;
}

/* To be called once for each call that counts, under the lock: 0, an errno, or SHORT_WRITE. */
static int fault(void) { return calls++ == failing_call ? failing_with : 0; }

static int refused(void) {
    int with = fault();
    if (!with) return 0;
    errno = with == SHORT_WRITE ? ENOSPC : with;
    return 1;
}

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode) {
    __typeof__(&openat) call = (__typeof__(&openat))real(name);
    char whole[PATH_MAX];
    int changes = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR);
    if (!absolute(folder, path, whole)) return call(folder, path, flags, mode);
    if (!changes) return unreadable() ? -1 : call(folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int there = !access(whole, F_OK), fd = refused() ? -1 : call(folder, path, flags, mode), error = errno;
    if (fd >= 0 && !there) record('C', inode(fd), 0, whole, "", "", 0);
    if (fd >= 0 && there && flags & O_TRUNC) record('T', inode(fd), 0, whole, "", "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, last); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return opened("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened("openat64", AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened("openat", at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened("openat64", at, path, flags, mode); }
int __open_2(const char *path, int flags) { return opened("openat", AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened("openat64", AT_FDCWD, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* `offset` below 0: where the file stands. A short write gives half of what was asked for; what follows works again. */
static ssize_t written(int fd, const struct iovec *parts, int count, off_t offset) {
    char path[PATH_MAX], *data;
    size_t size = 0, at = 0;
    int tracked = held(fd, path);
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    if (!tracked)
        return offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, offset);
    if (!(data = malloc(size ? size : 1))) abort();
    for (int i = 0; i < count; at += parts[i].iov_len, i++) memcpy(data + at, parts[i].iov_base, parts[i].iov_len);
    pthread_mutex_lock(&lock);
    int with = fault();
    if (with == SHORT_WRITE && size > 1) size /= 2, with = 0;
    ssize_t done = with ? -1 : offset < 0 ? REAL(write)(fd, data, size) : REAL(pwrite)(fd, data, size, offset);
    int error = with == SHORT_WRITE ? ENOSPC : with ? with : errno;
    if (done > 0) record('W', inode(fd), offset < 0 ? lseek(fd, 0, SEEK_CUR) - done : offset, path, "", data, (size_t)done);
    pthread_mutex_unlock(&lock);
    free(data);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    struct iovec part = {(void *)data, size};
    return held(fd, path) ? written(fd, &part, 1, -1) : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec part = {(void *)data, size};
    return written(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return written(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return written(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return written(fd, parts, count, offset); }

static int cut(const char *name, int fd, off_t size) {
    __typeof__(&ftruncate) call = (__typeof__(&ftruncate))real(name);
    char path[PATH_MAX];
    if (!held(fd, path)) return call(fd, size);
    pthread_mutex_lock(&lock);
    int done = refused() ? -1 : call(fd, size), error = errno;
    if (!done) record('T', inode(fd), size, path, "", "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int ftruncate(int fd, off_t size) { return cut("ftruncate", fd, size); }
int ftruncate64(int fd, off64_t size) { return cut("ftruncate64", fd, size); }

static int synced(const char *name, int fd) {
    __typeof__(&fsync) call = (__typeof__(&fsync))real(name);
    char path[PATH_MAX];
    struct stat facts;
    if (!held(fd, path)) return call(fd);
    pthread_mutex_lock(&lock);
    /* The page cache stands for the disk here, so the true call would only cost time. */
    int done = refused() ? -1 : 0, error = errno;
    if (!done && !fstat(fd, &facts))
        record(S_ISDIR(facts.st_mode) ? 'F' : 'S', (int64_t)facts.st_ino, 0, path, "", "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

/* Calls on names. `body` is the true call; the record is written when it gave 0. */
#define ON_NAMES(what, from, one, to, two, body) \
    char path[PATH_MAX], other[PATH_MAX] = ""; \
    int tracked = absolute(from, one, path); \
    if ((two) != NULL) tracked |= absolute(to, two, other); \
    if (!tracked) return body; \
    pthread_mutex_lock(&lock); \
    int done = refused() ? -1 : body, error = errno; \
    if (!done) record(what, 0, 0, path, other, "", 0); \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return done;

#define NONE ((const char *)NULL)
int rename(const char *one, const char *two) { ON_NAMES('R', AT_FDCWD, one, AT_FDCWD, two, REAL(rename)(one, two)) }
int renameat(int a, const char *one, int b, const char *two) { ON_NAMES('R', a, one, b, two, REAL(renameat)(a, one, b, two)) }
int renameat2(int a, const char *one, int b, const char *two, unsigned flags) {
    ON_NAMES('R', a, one, b, two, REAL(renameat2)(a, one, b, two, flags))
}
int link(const char *one, const char *two) { ON_NAMES('L', AT_FDCWD, one, AT_FDCWD, two, REAL(link)(one, two)) }
int linkat(int a, const char *one, int b, const char *two, int flags) {
    ON_NAMES('L', a, one, b, two, REAL(linkat)(a, one, b, two, flags))
}
int unlink(const char *one) { ON_NAMES('U', AT_FDCWD, one, 0, NONE, REAL(unlink)(one)) }
int unlinkat(int a, const char *one, int flags) { ON_NAMES('U', a, one, 0, NONE, REAL(unlinkat)(a, one, flags)) }
int rmdir(const char *one) { ON_NAMES('U', AT_FDCWD, one, 0, NONE, REAL(rmdir)(one)) }
int mkdir(const char *one, mode_t mode) { ON_NAMES('D', AT_FDCWD, one, 0, NONE, REAL(mkdir)(one, mode)) }
int mkdirat(int a, const char *one, mode_t mode) { ON_NAMES('D', a, one, 0, NONE, REAL(mkdirat)(a, one, mode)) }

/* Callers fall back to read and write, which are seen. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    char path[PATH_MAX];
    if (!held(out, path)) return REAL(copy_file_range)(in, from, out, to, size, flags);
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t size);
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) {
    char path[PATH_MAX];
    if (!held(out, path)) return REAL(sendfile64)(out, in, from, size);
    errno = ENOSYS;
    return -1;
}

/* Calls that read. Nothing of them is recorded: they leave the disk as it is. */
#define ON_READ(failed, body) \
    char path[PATH_MAX]; \
    return held(fd, path) && unreadable() ? failed : body;

ssize_t read(int fd, void *data, size_t size) { ON_READ(-1, REAL(read)(fd, data, size)) }
ssize_t pread(int fd, void *data, size_t size, off_t at) { ON_READ(-1, REAL(pread)(fd, data, size, at)) }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { ON_READ(-1, REAL(pread64)(fd, data, size, at)) }
ssize_t readv(int fd, const struct iovec *parts, int count) { ON_READ(-1, REAL(readv)(fd, parts, count)) }
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) { ON_READ(-1, REAL(preadv)(fd, parts, count, at)) }
void *mmap(void *where, size_t size, int how, int flags, int fd, off_t at) {
    char path[PATH_MAX];
    int fails = fd >= 0 && root_length && held(fd, path) && unreadable();
    return fails ? MAP_FAILED : REAL(mmap)(where, size, how, flags, fd, at);
}
void *mmap64(void *where, size_t size, int how, int flags, int fd, off64_t at) {
    return mmap(where, size, how, flags, fd, at);
}
