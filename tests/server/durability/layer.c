/* A disk that loses what was not synced, under a program that knows nothing of it (LD_PRELOAD).
 *
 * The files of one folder are the program's page cache: it reads and writes them as ever. Beside them this layer keeps
 * what a disk would hold: a second file for each, which gets a write only when its file is synced, and a second list of
 * names, which gets a new one only when the folder is synced. When the power is cut, that, and perhaps some sectors of
 * what was on its way, becomes the folder `image`, and the process is killed.
 *
 * SQLite's "-shm" is left out: it is mapped into memory, and is made anew after a crash. Folders inside the folder are
 * left out too. Nothing here syncs anything really, for nobody pulls the plug of the machine that runs the tests.
 *
 * And it writes down, in the file `connections`, where the program connects to, a line each.
 *
 * DISK_DATA   the folder
 * DISK_STATE  an existing folder for what the disk holds, `image`, and the socket `control`
 * DISK_RULES  rules that hold from the start, with semicolons between them
 *
 * Rules, also accepted as lines by the socket, each answered by how many failures have struck so far:
 * cut N KEEP SEED          at the N-th operation from now the power is cut (0: now). Of what was not synced the disk has
 *                          nothing (KEEP 0), or each sector of 512 bytes with the probability KEEP/64.
 * fail KIND ERRNO N COUNT  the N-th "write" or "sync" from now fails, and those after it: COUNT of them.
 * normal                   as if the database were asked for `PRAGMA synchronous = NORMAL`, see `sync_file`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define FILES_MAX 512
#define NAMES_MAX 1024
#define SECTOR 512

/* A write, or with no data a change of length, that is not on the disk yet. */
struct change {
    struct change *next;
    off_t offset;
    size_t length;
    unsigned char *data;
};

struct file {
    dev_t dev;
    ino_t ino; /* 0 once nothing more can come */
    int disk;  /* the descriptor of what the disk holds */
    int is_log, is_database;
    struct change *first, *last;
};

/* That a name stands for a file from now on, or with -1 for none. */
struct naming {
    char name[256];
    int file;
};

static struct file files[FILES_MAX];
static int files_count;
/* What the disk knows, and after that, in order, what it does not know yet. */
static struct naming namings[NAMES_MAX];
static int namings_count, namings_synced;

static char data[1024], state[1024];
static struct stat data_folder;
static int is_active, is_normal;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static long cut_in = -1;
static int cut_keep;
static uint64_t dice = 1;

static long fail_in[2] = {-1, -1}; /* writes, syncs */
static long fail_count[2];
static int fail_errno[2];
static long struck;

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

static void give_up(const char *why) {
    char line[512];
    int length = snprintf(line, sizeof line, "layer.c: %s\n", why);
    real_write(2, line, (size_t)length);
    _exit(99);
}

static void find_real(void) {
    if (real_open) return;
    real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_rename = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
}

/* xorshift64*, as the tests' own dice: the same cut on every run. */
static uint64_t roll(void) {
    dice ^= dice >> 12;
    dice ^= dice << 25;
    dice ^= dice >> 27;
    return dice * 0x2545F4914F6CDD1DULL;
}

/* Whether something happens that has KEEP chances in 64. */
static int is_kept(void) {
    return (int)((roll() >> 32) % 64) < cut_keep;
}

/* ---- what is on its way, and what the disk holds ---- */

static void add_change(struct file *file, off_t offset, const void *bytes, size_t length) {
    struct change *change = calloc(1, sizeof *change);
    if (!change) give_up("no memory");
    change->offset = offset;
    change->length = length;
    if (bytes) {
        change->data = malloc(length ? length : 1);
        if (!change->data) give_up("no memory");
        memcpy(change->data, bytes, length);
    }
    if (file->last) file->last->next = change;
    else file->first = change;
    file->last = change;
}

static void put(struct file *file, const unsigned char *bytes, size_t length, off_t offset) {
    if (real_pwrite(file->disk, bytes, length, offset) != (ssize_t)length) give_up("the disk's file cannot be written");
}

static void apply_whole(struct file *file, const struct change *change) {
    if (change->data) put(file, change->data, change->length, change->offset);
    else if (real_ftruncate(file->disk, change->offset)) give_up("the disk's file cannot be cut");
}

static void apply_some(struct file *file, const struct change *change) {
    if (!change->data) {
        if (is_kept()) apply_whole(file, change);
        return;
    }
    size_t at = 0;
    while (at < change->length) {
        size_t part = SECTOR - (size_t)((change->offset + (off_t)at) % SECTOR);
        if (part > change->length - at) part = change->length - at;
        if (is_kept()) put(file, change->data + at, part, change->offset + (off_t)at);
        at += part;
    }
}

static void forget(struct file *file) {
    while (file->first) {
        struct change *change = file->first;
        file->first = change->next;
        free(change->data);
        free(change);
    }
    file->last = NULL;
}

static void settle(struct file *file) {
    for (struct change *change = file->first; change; change = change->next) apply_whole(file, change);
    forget(file);
}

/* ---- files and names ---- */

static struct file *known(const struct stat *of) {
    for (int at = 0; at < files_count; at++)
        if (files[at].ino && files[at].ino == of->st_ino && files[at].dev == of->st_dev) return &files[at];
    return NULL;
}

static struct file *known_by_descriptor(int fd) {
    struct stat of;
    if (!is_active || fstat(fd, &of) || !S_ISREG(of.st_mode)) return NULL;
    return known(&of);
}

/* The name inside the folder that a path stands for, or NULL if it is not for us. */
static const char *name_of(const char *path) {
    if (!is_active || !path) return NULL;
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    const char *name = slash ? slash + 1 : path;
    if (slash) {
        size_t length = (size_t)(slash - path);
        if (length == 0 || length >= sizeof folder) return NULL;
        memcpy(folder, path, length);
        folder[length] = 0;
    }
    struct stat of;
    size_t length = strlen(name);
    if (stat(folder, &of) || of.st_ino != data_folder.st_ino || of.st_dev != data_folder.st_dev) return NULL;
    if (length == 0 || length > 255 || (length > 4 && !strcmp(name + length - 4, "-shm"))) return NULL;
    return name;
}

static void add_naming(const char *name, int file) {
    if (namings_count == NAMES_MAX) give_up("too many names");
    snprintf(namings[namings_count].name, sizeof namings[0].name, "%s", name);
    namings[namings_count++].file = file;
}

static struct file *add_file(const char *name, const struct stat *of) {
    if (files_count == FILES_MAX) give_up("too many files");
    char path[2048];
    struct file *file = &files[files_count];
    snprintf(path, sizeof path, "%s/%d", state, files_count);
    file->disk = real_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file->disk < 0) give_up("the disk's file cannot be made");
    size_t length = strlen(name);
    file->dev = of->st_dev;
    file->ino = of->st_ino;
    file->is_log = length > 4 && !strcmp(name + length - 4, "-wal");
    file->is_database = length > 3 && !strcmp(name + length - 3, ".db");
    add_naming(name, files_count++);
    return file;
}

/* ---- the power, and failures ---- */

static void cut(void) {
    char from[2048], to[2048];
    if (cut_keep) {
        for (int at = 0; at < files_count; at++)
            for (struct change *change = files[at].first; change; change = change->next) apply_some(&files[at], change);
        /* Names come to the disk in their order, as a journal keeps them. */
        while (namings_synced < namings_count && is_kept()) namings_synced++;
    }
    snprintf(to, sizeof to, "%s/image", state);
    if (mkdir(to, 0700)) give_up("no folder for the image");
    for (int at = 0; at < namings_synced; at++) {
        if (snprintf(to, sizeof to, "%s/image/%s", state, namings[at].name) >= (int)sizeof to) give_up("a long name");
        unlinkat(AT_FDCWD, to, 0);
        if (namings[at].file < 0) continue;
        snprintf(from, sizeof from, "%s/%d", state, namings[at].file);
        if (link(from, to)) give_up("the image cannot be made");
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this operation happens, 0, or fails with this error. The power may go before it. */
static int begin(int kind) {
    if (cut_in > 0 && --cut_in == 0) cut();
    if (kind < 0 || fail_in[kind] < 0) return 0;
    if (fail_in[kind] > 1) {
        fail_in[kind]--;
        return 0;
    }
    if (fail_count[kind] == 0) {
        fail_in[kind] = -1;
        return 0;
    }
    fail_count[kind]--;
    struck++;
    return fail_errno[kind];
}

static int fails(int error) {
    errno = error;
    return -1;
}

static void obey(const char *rule) {
    long n, count;
    int keep, error;
    unsigned long seed;
    char kind[16];
    if (sscanf(rule, "cut %ld %d %lu", &n, &keep, &seed) == 3) {
        cut_keep = keep;
        dice = seed | 1;
        cut_in = n;
        if (n == 0) cut();
    } else if (sscanf(rule, "fail %15s %d %ld %ld", kind, &error, &n, &count) == 4) {
        int which = !strcmp(kind, "sync");
        fail_errno[which] = error;
        fail_count[which] = count;
        fail_in[which] = n;
    } else if (!strcmp(rule, "normal")) {
        is_normal = 1;
    } else if (strcmp(rule, "count")) {
        give_up(rule);
    }
}

static void *listen_for_rules(void *unused) {
    (void)unused;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/control", state);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlinkat(AT_FDCWD, address.sun_path, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) give_up("no socket");
    for (;;) {
        char line[256];
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ssize_t length = peer < 0 ? -1 : read(peer, line, sizeof line - 1);
        if (length > 0) {
            line[length] = 0;
            line[strcspn(line, "\n")] = 0;
            pthread_mutex_lock(&mutex);
            obey(line);
            int answer = snprintf(line, sizeof line, "%ld\n", struck);
            pthread_mutex_unlock(&mutex);
            real_write(peer, line, (size_t)answer);
        }
        if (peer >= 0) close(peer);
    }
    return NULL;
}

__attribute__((constructor)) static void start(void) {
    find_real();
    const char *in = getenv("DISK_DATA"), *beside = getenv("DISK_STATE"), *rules = getenv("DISK_RULES");
    /* Programs that this one starts have nothing to do with it. */
    unsetenv("LD_PRELOAD");
    if (!in || !beside || stat(in, &data_folder)) return;
    snprintf(data, sizeof data, "%s", in);
    snprintf(state, sizeof state, "%s", beside);
    is_active = 1;
    /* What is there when the machine is switched on is on the disk. */
    DIR *folder = opendir(data);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char path[2048], bytes[65536];
        struct stat of;
        snprintf(path, sizeof path, "%s/%s", data, entry->d_name);
        if (!name_of(path) || stat(path, &of) || !S_ISREG(of.st_mode)) continue;
        struct file *file = add_file(entry->d_name, &of);
        int from = real_open(path, O_RDONLY | O_CLOEXEC);
        off_t at = 0;
        for (ssize_t length; (length = read(from, bytes, sizeof bytes)) > 0; at += length)
            put(file, (unsigned char *)bytes, (size_t)length, at);
        close(from);
    }
    if (folder) closedir(folder);
    namings_synced = namings_count;
    char copy[512], *rest = copy;
    snprintf(copy, sizeof copy, "%s", rules ? rules : "");
    for (char *rule; (rule = strsep(&rest, ";"));)
        if (*rule) obey(rule);
    pthread_t thread;
    if (pthread_create(&thread, NULL, listen_for_rules, NULL)) give_up("no thread");
}

/* ---- what the program calls ---- */

static int open_either(const char *path, int flags, mode_t mode) {
    find_real();
    const char *name = (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT) ? NULL : name_of(path);
    if (!name) return real_open(path, flags, mode);
    pthread_mutex_lock(&mutex);
    int fd = real_open(path, flags, mode), error = errno;
    struct stat of;
    if (fd >= 0 && !fstat(fd, &of) && S_ISREG(of.st_mode)) {
        struct file *file = known(&of);
        if (!file) add_file(name, &of);
        else if (flags & O_TRUNC) add_change(file, 0, NULL, 0);
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_either(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_either(path, flags, mode);
}

/* Writes at `offset`, or with -1 where the descriptor stands. */
static ssize_t write_either(int fd, const void *bytes, size_t length, off_t offset) {
    find_real();
    struct file *file = known_by_descriptor(fd);
    if (!file) return offset < 0 ? real_write(fd, bytes, length) : real_pwrite(fd, bytes, length, offset);
    pthread_mutex_lock(&mutex);
    int refused = begin(0);
    /* The log is on the disk before the database is written to: all that NORMAL promises. */
    if (is_normal && file->is_database)
        for (int at = 0; at < files_count; at++)
            if (files[at].is_log) settle(&files[at]);
    /* A write that fails may have got half way. */
    size_t wanted = refused ? length / 2 : length;
    ssize_t done = offset < 0 ? real_write(fd, bytes, wanted) : real_pwrite(fd, bytes, wanted, offset);
    int error = errno;
    if (done > 0) add_change(file, offset < 0 ? lseek(fd, 0, SEEK_CUR) - done : offset, bytes, (size_t)done);
    pthread_mutex_unlock(&mutex);
    if (refused) return fails(refused);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_either(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return write_either(fd, bytes, length, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    return write_either(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    find_real();
    if (known_by_descriptor(fd)) give_up("writev on a file that is watched");
    ssize_t (*real)(int, const struct iovec *, int) =
        (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    return real(fd, parts, count);
}

static int truncate_either(int fd, off_t length) {
    find_real();
    struct file *file = known_by_descriptor(fd);
    if (!file) return real_ftruncate(fd, length);
    pthread_mutex_lock(&mutex);
    begin(-1);
    int done = real_ftruncate(fd, length), error = errno;
    if (!done) add_change(file, length, NULL, 0);
    pthread_mutex_unlock(&mutex);
    errno = error;
    return done;
}

int ftruncate(int fd, off_t length) { return truncate_either(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_either(fd, length); }

/* Under NORMAL SQLite syncs the log in two places only: when it has begun it anew (its head stands at 0), and before it
 * writes from it into the database; never at a commit. FULL does the same and syncs it at each commit besides. So to
 * leave those out, and to keep the second promise where the database is written to, is NORMAL exactly. */
static int sync_file(struct file *file) {
    if (is_normal && file->is_log && !(file->last && file->last->offset == 0)) return 0;
    int refused = begin(1);
    if (!refused) {
        settle(file);
        return 0;
    }
    /* Linux says so once, keeps the pages, and takes them for written: only what is written again reaches the disk. */
    forget(file);
    return fails(refused);
}

static int sync_either(int fd) {
    find_real();
    struct stat of;
    if (!is_active || fstat(fd, &of)) return real_fsync(fd);
    int done = 0;
    pthread_mutex_lock(&mutex);
    struct file *file = S_ISREG(of.st_mode) ? known(&of) : NULL;
    if (file) {
        done = sync_file(file);
    } else if (S_ISDIR(of.st_mode) && of.st_ino == data_folder.st_ino && of.st_dev == data_folder.st_dev) {
        begin(-1);
        namings_synced = namings_count;
    }
    pthread_mutex_unlock(&mutex);
    return done;
}

int fsync(int fd) { return sync_either(fd); }
int fdatasync(int fd) { return sync_either(fd); }

int rename(const char *from, const char *to) {
    find_real();
    const char *old = name_of(from), *new = name_of(to);
    struct stat of;
    pthread_mutex_lock(&mutex);
    struct file *file = is_active && !stat(from, &of) && S_ISREG(of.st_mode) ? known(&of) : NULL;
    if (file) begin(-1);
    int done = real_rename(from, to), error = errno;
    if (!done && file) {
        if (new) add_naming(new, (int)(file - files));
        if (old) add_naming(old, -1);
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return done;
}

int unlink(const char *path) {
    find_real();
    const char *name = name_of(path);
    if (!name) return real_unlink(path);
    struct stat of;
    pthread_mutex_lock(&mutex);
    struct file *file = !stat(path, &of) && S_ISREG(of.st_mode) ? known(&of) : NULL;
    if (file) begin(-1);
    int done = real_unlink(path), error = errno;
    if (!done && file) {
        add_naming(name, -1);
        /* Its number may be given to another file. */
        file->ino = 0;
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return done;
}

int connect(int fd, const struct sockaddr *to, socklen_t length) {
    find_real();
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    if (is_active && to) {
        char path[2048], host[128] = "", line[256];
        int port = 0;
        if (to->sa_family == AF_INET) {
            const struct sockaddr_in *four = (const struct sockaddr_in *)to;
            inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
            port = ntohs(four->sin_port);
        } else if (to->sa_family == AF_INET6) {
            const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
            inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
            port = ntohs(six->sin6_port);
        } else {
            snprintf(host, sizeof host, "family %d", to->sa_family);
        }
        snprintf(path, sizeof path, "%s/connections", state);
        int log = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int written = snprintf(line, sizeof line, "%s:%d\n", host, port);
        if (log < 0 || real_write(log, line, (size_t)written) != written) give_up("connections cannot be written down");
        close(log);
    }
    return real(fd, to, length);
}
