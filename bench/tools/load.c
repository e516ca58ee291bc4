/* HTTP load from one thread, so light that it is never what is measured.
 *
 *   load PORT keep|new|drop CLIENTS SECONDS TIMEOUT_MS
 *
 * keep: a client sends its next request on the same connection, for as long as the server does not say `Connection: close`.
 * new:  a connection for each request.
 * drop: a connection that is closed again at once: a third of them unused, a third with half a request, a third reset
 *       after a whole one. SECONDS is then the number of connections.
 * Every request ends as one of: answered (status 200, whole), reset, refused, cut (closed before a whole answer), status,
 * hung (no answer within TIMEOUT_MS). One JSON object on stdout at the end, which SIGTERM brings about early; what is in
 * flight then still has its time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 4096, BODY = 24, WORKERS = 512, FAILED = 4096 };
enum outcome { ANSWERED, RESET, REFUSED, CUT, STATUS, HUNG, OUTCOMES };
static const char *const names[OUTCOMES] = {"answered", "reset", "refused", "cut", "status", "hung"};

struct client {
  int fd, sent, length;
  uint64_t began; /* of the request under way; 0: none is */
  char answer[BUFFER];
};

static struct sockaddr_in server;
static const char *request;
static size_t request_length;
static int poller, keep;
static uint64_t counts[OUTCOMES], connections, ended_ns;
static uint16_t failed_ports[FAILED];
static int failures;
static uint32_t *samples;
static size_t sampled, room;
static struct { char body[BODY]; uint64_t count; } workers[WORKERS];
static volatile sig_atomic_t told;

static void stop(int signal) { told = signal; }

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void hang_up(struct client *client) {
  if (client->fd >= 0) close(client->fd);
  client->fd = -1;
}

static void finish(struct client *client, enum outcome outcome) {
  counts[outcome]++;
  uint64_t took = (now() - client->began) / 1000;
  client->began = 0;
  if (sampled == room) {
    room = room ? room * 2 : 1 << 16;
    samples = realloc(samples, room * sizeof *samples);
    if (!samples) fail("memory");
  }
  if (outcome == ANSWERED) samples[sampled++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
  else {
    struct sockaddr_in own = {0};
    socklen_t length = sizeof own;
    if (failures < FAILED && getsockname(client->fd, (struct sockaddr *)&own, &length) == 0)
      failed_ports[failures++] = ntohs(own.sin_port);
    hang_up(client);
  }
}

static void count_body(const char *body, size_t length) {
  char text[BODY] = {0};
  memcpy(text, body, length < BODY - 1 ? length : BODY - 1);
  for (int at = 0; at < WORKERS; at++) {
    if (workers[at].count == 0) memcpy(workers[at].body, text, BODY);
    if (strcmp(workers[at].body, text) != 0) continue;
    workers[at].count++;
    return;
  }
}

static enum outcome failure(int error) { return error == ECONNREFUSED ? REFUSED : error == ECONNRESET || error == EPIPE ? RESET : CUT; }

/* The next request, on a new connection if there is none. */
static void begin(struct client *client) {
  client->began = now();
  client->sent = client->length = 0;
  if (client->fd < 0) {
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) fail("socket");
    connections++;
    if (connect(client->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) {
      finish(client, failure(errno));
      return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = client};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) != 0) fail("epoll_ctl");
  }
}

static void put(struct client *client) {
  while (client->sent < (int)request_length) {
    ssize_t wrote = send(client->fd, request + client->sent, request_length - (size_t)client->sent, MSG_NOSIGNAL);
    if (wrote < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
    /* What the server said before it closed is still to be read. */
    if (wrote < 0 && errno == EPIPE) return;
    if (wrote < 0) { finish(client, failure(errno)); return; }
    client->sent += (int)wrote;
  }
}

/* 1: a whole answer is there, 2: and the server closes after it, 0: not yet, -1: it is none with status 200. */
static int parse(struct client *client) {
  client->answer[client->length] = 0;
  char *head = strstr(client->answer, "\r\n\r\n");
  if (!head) return 0;
  if (strncmp(client->answer, "HTTP/1.1 200", 12) != 0) return -1;
  char *length = strcasestr(client->answer, "\r\ncontent-length:");
  if (!length || length > head) return -1;
  long body = atol(length + 17);
  if (client->answer + client->length < head + 4 + body) return 0;
  count_body(head + 4, (size_t)body);
  char *closes = strcasestr(client->answer, "\r\nconnection: close");
  return closes && closes < head ? 2 : 1;
}

static void get(struct client *client) {
  while (client->began) {
    ssize_t got = recv(client->fd, client->answer + client->length, (size_t)(BUFFER - 1 - client->length), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { finish(client, got == 0 ? CUT : failure(errno)); return; }
    client->length += (int)got;
    int state = parse(client);
    if (state == 0) continue;
    if (state < 0) { finish(client, STATUS); return; }
    finish(client, ANSWERED);
    if (!keep || state == 2) hang_up(client);
  }
}

static int compare(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

static void report(uint64_t began) {
  qsort(samples, sampled, sizeof *samples, compare);
  double seconds = (double)(ended_ns - began) / 1e9;
  uint64_t all = 0;
  for (int at = 0; at < OUTCOMES; at++) all += counts[at];
  printf("{\"requests\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"connections\":%llu", (unsigned long long)all, seconds,
         (double)counts[ANSWERED] / seconds, (unsigned long long)connections);
  for (int at = 0; at < OUTCOMES; at++) printf(",\"%s\":%llu", names[at], (unsigned long long)counts[at]);
  const double parts[] = {0.5, 0.9, 0.99, 0.999, 1};
  const char *const labels[] = {"p50", "p90", "p99", "p999", "max"};
  for (int at = 0; at < 5; at++) {
    size_t rank = sampled ? (size_t)((double)(sampled - 1) * parts[at]) : 0;
    printf(",\"%s\":%.3f", labels[at], sampled ? samples[rank] / 1000.0 : 0);
  }
  printf(",\"workers\":{");
  for (int at = 0; at < WORKERS && workers[at].count > 0; at++)
    printf("%s\"%s\":%llu", at ? "," : "", workers[at].body, (unsigned long long)workers[at].count);
  printf("},\"failedPorts\":[");
  for (int at = 0; at < failures; at++) printf("%s%u", at ? "," : "", failed_ports[at]);
  printf("]}\n");
}

/* Connections that come to nothing. Non blocking connects would outrun the backlog: one after the other, then. */
static void drop_all(long total) {
  for (long at = 0; at < total && !told; at++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    connections++;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) counts[failure(errno)]++;
    else {
      counts[ANSWERED]++;
      const struct linger reset = {.l_onoff = 1, .l_linger = 0};
      size_t length = at % 3 == 0 ? 0 : at % 3 == 1 ? request_length / 2 : request_length;
      if (length > 0 && send(fd, request, length, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) fail("send");
      if (at % 3 == 2) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(fd);
  }
}

int main(int count, char **arguments) {
  if (count != 6) return 2;
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  keep = strcmp(arguments[2], "keep") == 0;
  request = keep ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n" : "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  request_length = strlen(request);
  int clients = atoi(arguments[3]);
  double seconds = atof(arguments[4]);
  uint64_t patience = (uint64_t)atol(arguments[5]) * 1000000ULL, began = now();
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  if (strcmp(arguments[2], "drop") == 0) {
    drop_all((long)seconds);
    ended_ns = now();
    report(began);
    return 0;
  }
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct client *all = calloc((size_t)clients, sizeof *all);
  if (poller < 0 || !all) fail("start");
  for (int at = 0; at < clients; at++) all[at].fd = -1;
  uint64_t end = began + (uint64_t)(seconds * 1e9), looked = began;
  for (;;) {
    uint64_t time = now();
    int over = told || time >= end;
    if (over && !ended_ns) ended_ns = time;
    int busy = 0;
    if (over || time - looked > 10000000ULL) {
      looked = time;
      for (int at = 0; at < clients; at++) {
        if (all[at].began && time - all[at].began > patience) finish(&all[at], HUNG);
      }
    }
    for (int at = 0; at < clients; at++) {
      if (!all[at].began && !over) {
        int open = all[at].fd >= 0;
        begin(&all[at]);
        if (open && all[at].began) put(&all[at]);
      }
      busy += all[at].began != 0;
    }
    if (over && busy == 0) break;
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, 10);
    for (int at = 0; at < ready; at++) {
      struct client *client = events[at].data.ptr;
      if (!client->began) {
        /* The server has let go of a connection that is kept for later. */
        if (client->fd >= 0 && events[at].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hang_up(client);
        continue;
      }
      if (events[at].events & EPOLLERR) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) { finish(client, failure(error)); continue; }
      }
      if (events[at].events & EPOLLOUT) put(client);
      if (client->began && events[at].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) get(client);
      /* Straight on: a turn through all clients for each answer would be the load generator's own work. */
      if (!client->began && !told) {
        int open = client->fd >= 0;
        if (now() < end) {
          begin(client);
          if (open && client->began) put(client);
        }
      }
    }
  }
  report(began);
  return 0;
}
