/* The native apps of the benchmarks. All that they measure with is CLOCK_MONOTONIC, which Node's hrtime reads too.
 *
 *   native stamp FILE             append the time of main() and the pid to FILE, then wait
 *   native writer FIFO LINES      wait for FIFO, write LINES lines of 200 bytes, then wait; without FIFO ("-") end instead
 *   native touch MB               write to so many megabytes of memory once, and end
 *   native reader FIFO BYTES RATE PAUSE
 *                                 read nothing for PAUSE seconds, then RATE bytes a second until BYTES were read; say how many
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 200, BATCH = 320 };

static void put(const char *from, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, from, length);
    if (written < 0) exit(1);
    from += written;
    length -= (size_t)written;
  }
}

/* A slow disk: a FIFO that takes a megabyte and is read at a given rate. */
static int read_slowly(const char *path, long long bytes, long long rate, unsigned pause_first) {
  static char buffer[1 << 16];
  struct timespec start, now;
  int fifo = open(path, O_RDWR | O_CLOEXEC);
  if (fifo < 0) return 1;
  (void)fcntl(fifo, F_SETPIPE_SZ, 1 << 20);
  sleep(pause_first);
  clock_gettime(CLOCK_MONOTONIC, &start);
  long long done = 0;
  while (done < bytes) {
    ssize_t count = read(fifo, buffer, sizeof buffer);
    if (count <= 0) break;
    done += count;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double ahead = (double)done / (double)rate - ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
    if (ahead > 0.002) usleep((useconds_t)(ahead > 0.5 ? 500000 : ahead * 1e6));
  }
  printf("%lld\n", done);
  return done == bytes ? 0 : 1;
}

static void wait_for_ever(void) {
  for (;;) pause();
}

int main(int count, char **arguments) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (count == 3 && strcmp(arguments[1], "stamp") == 0) {
    char text[64];
    int length = snprintf(text, sizeof text, "%lld %ld\n", (long long)now.tv_sec * 1000000000LL + now.tv_nsec, (long)getpid());
    int file = open(arguments[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || write(file, text, (size_t)length) != length) return 1;
    close(file);
    wait_for_ever();
  }
  if (count == 4 && strcmp(arguments[1], "writer") == 0) {
    static char batch[BATCH * LINE];
    long lines = atol(arguments[3]);
    int stays = strcmp(arguments[2], "-") != 0;
    if (stays) {
      char go;
      int fifo = open(arguments[2], O_RDONLY);
      if (fifo < 0 || read(fifo, &go, 1) != 1) return 1;
      close(fifo);
    }
    /* Characters of three bytes: whoever cuts between two chunks and decodes each of them tears some. */
    for (size_t at = 0; at < sizeof batch; at += LINE) {
      memset(batch + at, 'x', LINE);
      for (size_t filler = at + 14; filler + 5 < at + LINE; filler += 3) memcpy(batch + filler, "\xe2\x82\xac", 3);
    }
    for (long line = 0; line < lines;) {
      size_t length = 0;
      for (; length < sizeof batch && line < lines; length += LINE, line++) {
        char number[24];
        memcpy(batch + length, number, (size_t)snprintf(number, sizeof number, "#%012ld ", line));
        batch[length + LINE - 1] = '\n';
      }
      put(batch, length);
    }
    if (stays) wait_for_ever();
    return 0;
  }
  if (count == 3 && strcmp(arguments[1], "touch") == 0) {
    size_t length = (size_t)atol(arguments[2]) << 20;
    volatile char *memory = malloc(length);
    if (memory == NULL) return 1;
    for (size_t at = 0; at < length; at += 4096) memory[at] = 1;
    return 0;
  }
  if (count == 6 && strcmp(arguments[1], "reader") == 0) {
    return read_slowly(arguments[2], atoll(arguments[3]), atoll(arguments[4]), (unsigned)atol(arguments[5]));
  }
  return 2;
}
