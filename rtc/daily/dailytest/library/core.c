// The far end of package core in tests: the functions of Daily's daily_core.h
// that it calls, with the signatures of release 0.22. Own code. What is a room
// here is a dailytest.Room: this library connects to it, tells it every call,
// and passes on the events that it makes.
//
// Frames go both ways: a byte that says what it is, the length of the rest in
// four bytes of the machine's order, and the rest.
//
//   C  a call: its name and its arguments, with tabs between them
//   E  an event, as the library gives it
//   P  who is in the room, as daily_core_call_client_participants gives it
//   S  sound: renderer (8 bytes), rate (4), channels (4), samples of 16 bits
//
//   cc -shared -fPIC -pthread -o libdaily_core.so core.c
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct { void *ptr; } ContextDelegate;
typedef struct {
  void *ptr;
  void *(*get_user_media)(void *, void *, void *, void *, void *, const char *);
  void *(*get_display_media)(void *, void *, void *, void *, void *);
  char *(*get_enumerated_devices)(void *);
  void *(*create_audio_device_module)(void *, void *);
  void *factories[4];
  const char *(*get_audio_device)(void *);
  void (*set_audio_device)(void *, const char *);
  const char *(*get_ignored_network_devices)(void *);
} WebRtcDelegate;
typedef struct { const char *library, *version, *system, *system_version, *app; } About;
typedef struct { uint32_t bits, rate; uintptr_t channels, frames; const uint8_t *samples; } AudioData;
typedef struct {
  void *ptr;
  void (*on_event)(void *, const char *, intptr_t);
  void (*on_audio)(void *, uint64_t, const char *, const AudioData *);
  void (*on_video)(void *, uint64_t, const char *, const void *);
} Delegate;

typedef struct Event { struct Event *next; char type; uint32_t size; char bytes[]; } Event;

typedef struct {
  Delegate delegate;
  pthread_t posting, reading;
  pthread_mutex_t lock;
  pthread_cond_t more;
  Event *first, *last;
  int over, leaving, socket, connected;
  char early[4096]; // calls before there is a connection
  char *people;
} Client;

static char manager;
static int contexts;
static char about[256];

static void fail(const char *why) {
  fprintf(stderr, "stand-in for Daily's library: %s\n", why);
  abort();
}

// post queues what the thread of the client passes on.
static void post(Client *c, char type, const char *bytes, uint32_t size) {
  Event *e = malloc(sizeof *e + size + 1);
  e->next = 0, e->type = type, e->size = size;
  memcpy(e->bytes, bytes, size);
  e->bytes[size] = 0;
  pthread_mutex_lock(&c->lock);
  if (c->last) c->last->next = e; else c->first = e;
  c->last = e;
  pthread_cond_signal(&c->more);
  pthread_mutex_unlock(&c->lock);
}

static void complete(Client *c, uint64_t id, const char *error) {
  char text[256];
  int n = error ? snprintf(text, sizeof text, "{\"action\":\"request-completed\",\"requestId\":{\"id\":%llu},\"requestError\":{\"msg\":\"%s\"}}", (unsigned long long)id, error)
                : snprintf(text, sizeof text, "{\"action\":\"request-completed\",\"requestId\":{\"id\":%llu}}", (unsigned long long)id);
  post(c, 'E', text, n);
}

static void pass(Client *c, Event *e) {
  if (e->type == 'E') {
    c->delegate.on_event(c->delegate.ptr, e->bytes, e->size);
    return;
  }
  uint64_t renderer;
  uint32_t rate, channels;
  memcpy(&renderer, e->bytes, 8), memcpy(&rate, e->bytes + 8, 4), memcpy(&channels, e->bytes + 12, 4);
  AudioData data = {16, rate, channels, (e->size - 16) / 2 / channels, (const uint8_t *)e->bytes + 16};
  c->delegate.on_audio(c->delegate.ptr, renderer, "", &data);
}

static void *posting(void *p) {
  Client *c = p;
  for (;;) {
    pthread_mutex_lock(&c->lock);
    while (!c->first && !c->over) pthread_cond_wait(&c->more, &c->lock);
    Event *e = c->first;
    if (e && !(c->first = e->next)) c->last = 0;
    pthread_mutex_unlock(&c->lock);
    if (!e) return 0;
    pass(c, e);
    free(e);
  }
}

static int readAll(int from, void *to, size_t n) {
  for (char *at = to; n > 0;) {
    ssize_t got = read(from, at, n);
    if (got <= 0) return 0;
    at += got, n -= got;
  }
  return 1;
}

static void *reading(void *p) {
  Client *c = p;
  char type;
  uint32_t size;
  while (readAll(c->socket, &type, 1) && readAll(c->socket, &size, 4)) {
    char *bytes = malloc(size + 1);
    if (!readAll(c->socket, bytes, size)) { free(bytes); break; }
    bytes[size] = 0;
    if (type == 'P') {
      pthread_mutex_lock(&c->lock);
      free(c->people), c->people = bytes;
      pthread_mutex_unlock(&c->lock);
      continue;
    }
    post(c, type, bytes, size);
    free(bytes);
  }
  pthread_mutex_lock(&c->lock);
  int lost = !c->leaving;
  pthread_mutex_unlock(&c->lock);
  if (lost) {
    const char *text = "{\"action\":\"error\",\"message\":\"no connection to the room\"}";
    post(c, 'E', text, strlen(text));
  }
  return 0;
}

static void writeAll(Client *c, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t put = send(c->socket, bytes, n, MSG_NOSIGNAL);
    if (put <= 0) return; // the room is gone, which its end says
    bytes += put, n -= put;
  }
}

// tell tells the room of a call.
static void tell(Client *c, const char *call, size_t n) {
  if (!c->connected) {
    if (strlen(c->early) + n + 2 > sizeof c->early) fail("too much before a join");
    strcat(strcat(c->early, call), "\n");
    return;
  }
  uint32_t size = n;
  pthread_mutex_lock(&c->lock);
  writeAll(c, "C", 1), writeAll(c, (char *)&size, 4), writeAll(c, call, n);
  pthread_mutex_unlock(&c->lock);
}

static void tellf(Client *c, const char *format, ...) {
  char *text;
  va_list list;
  va_start(list, format);
  int n = vasprintf(&text, format, list);
  va_end(list);
  tell(c, text, n);
  free(text);
}

static int dial(Client *c, const char *url) {
  char host[64];
  int port;
  if (sscanf(url, "http://%63[^:]:%d/", host, &port) != 2) return 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return 0;
  c->socket = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->socket, (struct sockaddr *)&to, sizeof to) != 0) { close(c->socket); return 0; }
  int now = 1;
  setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
  const char *hello = "GET /library HTTP/1.1\r\nHost: room\r\n\r\n";
  writeAll(c, hello, strlen(hello));
  c->connected = 1;
  for (char *line = strtok(c->early, "\n"); line; line = strtok(0, "\n")) tell(c, line, strlen(line));
  return pthread_create(&c->reading, 0, reading, c) == 0;
}

void daily_core_set_log_level(int level) { if (level) fail("a log level that is not off"); }
void *daily_core_context_create_device_manager(void) { return &manager; }
void *daily_core_context_create_audio_device_module(void *m, void *queues) { return m == &manager ? queues : 0; }
void *daily_core_context_device_manager_get_user_media(void *m, void *factory, void *s, void *w, void *n, const char *constraints) {
  (void)s, (void)w, (void)n;
  return m == &manager && !strcmp(constraints, "{}") ? factory : 0;
}
char *daily_core_context_device_manager_enumerated_devices(const void *m) { return m == &manager ? strdup("[]") : 0; }

// The structs come whole: every callback is called once, and gives back what it
// should.
void daily_core_context_create(ContextDelegate d, WebRtcDelegate w, About a) {
  (void)d;
  int here;
  if (contexts++) fail("a second context");
  if (w.get_display_media || w.factories[0] || w.get_ignored_network_devices) fail("callbacks for what is not there");
  if (w.get_user_media(w.ptr, &here, 0, 0, 0, "{}") != &here) fail("get_user_media");
  if (w.create_audio_device_module(w.ptr, &here) != &here) fail("create_audio_device_module");
  char *devices = w.get_enumerated_devices(w.ptr);
  if (!devices || strcmp(devices, "[]")) fail("get_enumerated_devices");
  free(devices);
  if (strcmp(w.get_audio_device(w.ptr), "")) fail("get_audio_device");
  w.set_audio_device(w.ptr, "speaker");
  snprintf(about, sizeof about, "%s\t%s\t%s", a.library, a.version, a.app);
}

void *daily_core_call_client_create(void) {
  if (!contexts) fail("a client without a context");
  Client *c = calloc(1, sizeof *c);
  pthread_mutex_init(&c->lock, 0);
  pthread_cond_init(&c->more, 0);
  pthread_create(&c->posting, 0, posting, c);
  return c;
}
void daily_core_call_client_set_delegate(Client *c, Delegate d) { c->delegate = d; }
void daily_core_call_client_set_user_name(Client *c, uint64_t id, const char *name) {
  tellf(c, "set_user_name\t%s", name);
  complete(c, id, 0);
}
void daily_core_call_client_update_subscription_profiles(Client *c, uint64_t id, const char *profiles) {
  tellf(c, "update_subscription_profiles\t%s", profiles);
  complete(c, id, 0);
}
void daily_core_call_client_join(Client *c, uint64_t id, const char *url, const char *token, const char *settings) {
  if (c->connected) { complete(c, id, "joined already"); return; }
  if (!dial(c, url)) { complete(c, id, "no way to the room"); return; }
  tellf(c, "about\t%s", about);
  tellf(c, "join\t%llu\t%s\t%s\t%s", (unsigned long long)id, url, token ? token : "", settings);
}
void daily_core_call_client_send_app_message(Client *c, uint64_t id, const char *message, const char *participant) {
  if (!c->connected) { complete(c, id, "not joined"); return; }
  tellf(c, "send_app_message\t%llu\t%s\t%s", (unsigned long long)id, participant ? participant : "*", message);
}
void daily_core_call_client_set_participant_audio_renderer(Client *c, uint64_t id, uint64_t renderer, const char *participant, const char *source, uint32_t rate) {
  if (!c->delegate.on_audio) fail("a renderer without on_audio_data");
  if (!c->connected) { complete(c, id, "not joined"); return; }
  tellf(c, "set_participant_audio_renderer\t%llu\t%llu\t%s\t%s\t%u", (unsigned long long)id, (unsigned long long)renderer, participant, source, rate);
}
void daily_core_call_client_leave(Client *c, uint64_t id) {
  if (!c->connected) { complete(c, id, 0); return; }
  pthread_mutex_lock(&c->lock);
  c->leaving = 1;
  pthread_mutex_unlock(&c->lock);
  tellf(c, "leave\t%llu", (unsigned long long)id);
}
const char *daily_core_call_client_participants(Client *c) {
  pthread_mutex_lock(&c->lock);
  char *people = strdup(c->people ? c->people : "{}");
  pthread_mutex_unlock(&c->lock);
  return people;
}
void daily_core_string_free(char *text) { free(text); }
void daily_core_call_client_destroy(Client *c) {
  if (c->connected) {
    pthread_mutex_lock(&c->lock);
    c->leaving = 1;
    pthread_mutex_unlock(&c->lock);
    shutdown(c->socket, SHUT_RDWR);
    pthread_join(c->reading, 0);
    close(c->socket);
  }
  pthread_mutex_lock(&c->lock);
  c->over = 1;
  pthread_cond_signal(&c->more);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->posting, 0);
  free(c->people);
  free(c);
}
