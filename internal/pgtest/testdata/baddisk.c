/* Loaded before the C library by a server under test: while a file disk-full
 * lies in the folder $BAD_DISK, no file below base/ can grow, and a file
 * sync-fails there has one sync of the write-ahead log fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *flag(const char *name, char *path, size_t size)
{
	const char *dir = getenv("BAD_DISK");
	if (dir == NULL)
		return NULL;
	snprintf(path, size, "%s/%s", dir, name);
	return path;
}

/* is_below tells whether a file lies in a part of the server's folder. */
static int is_below(int fd, const char *part)
{
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return 0;
	path[n] = 0;
	return strstr(path, part) != NULL;
}

/* no_room tells whether bytes up to end would make a table grow, which they cannot. */
static int no_room(int fd, off_t end)
{
	char path[4096];
	struct stat st;
	int before = errno, none;
	none = flag("disk-full", path, sizeof path) != NULL && access(path, F_OK) == 0 &&
		fstat(fd, &st) == 0 && end > st.st_size && is_below(fd, "/base/");
	errno = none ? ENOSPC : before;
	return none;
}

/* no_sync tells whether this sync is the one that fails. */
static int no_sync(int fd)
{
	char path[4096];
	int before = errno, none;
	none = flag("sync-fails", path, sizeof path) != NULL && access(path, F_OK) == 0 &&
		is_below(fd, "/pg_wal/") && unlink(path) == 0;
	errno = none ? EIO : before;
	return none;
}

#define NEXT(name) static __typeof__(&name) next; \
	if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	NEXT(pwrite);
	return no_room(fd, at + (off_t)n) ? -1 : next(fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
	NEXT(pwrite64);
	return no_room(fd, at + (off_t)n) ? -1 : next(fd, buf, n, at);
}

static off_t sum(const struct iovec *parts, int n)
{
	off_t all = 0;
	for (int i = 0; i < n; i++)
		all += (off_t)parts[i].iov_len;
	return all;
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
	NEXT(pwritev);
	return no_room(fd, at + sum(parts, n)) ? -1 : next(fd, parts, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
	NEXT(pwritev64);
	return no_room(fd, at + sum(parts, n)) ? -1 : next(fd, parts, n, at);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	NEXT(posix_fallocate);
	return no_room(fd, at + n) ? ENOSPC : next(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
	NEXT(posix_fallocate64);
	return no_room(fd, at + n) ? ENOSPC : next(fd, at, n);
}

int fdatasync(int fd)
{
	NEXT(fdatasync);
	return no_sync(fd) ? -1 : next(fd);
}

int fsync(int fd)
{
	NEXT(fsync);
	return no_sync(fd) ? -1 : next(fd);
}
