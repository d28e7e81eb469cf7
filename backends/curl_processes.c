/*
 * Model:    a pool of processes, each running one transfer after the other
 * Threads:  one in each of as many processes as may be in flight; the caller's waits for them
 * Waits in: poll(2), inside curl_easy_perform, once in every process
 * Woken by: the process's own socket; the caller by the end of the last process
 * Syscalls per transfer: 7 to 8 (5 poll, 1 send, 1 or 2 recv), and the context switches
 * Read next: curl_threads.c, the same with threads; curl_sequential.c, the code of a transfer
 *
 * What differs from threads: nothing is shared that is not meant to be. Who takes which request
 * (a counter) and the slots of the results lie in memory that all processes map; a process that
 * dies takes its own transfer with it and no other. The price is a fork for each process, and
 * its own copy of every page it writes to: those are not in the memory figure of the caller.
 *
 * A child has only the thread that forked it, and locks as they were at that moment: whoever calls
 * this beside threads of his own must not let them hold one (fork(2)). glibc sees to its heap's.
 *
 * Hooks are the caller's, in the caller's process: children send news of what they have done
 * through one socket. Its end of file tells that the last of them has gone, however it went.
 */
#include "backend.h"
#include "clock.h"
#include "curl_transfer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MAX_MS 1000
#define STALL_NS (5 * NS_PER_S) /* beyond its deadlines: for saving, and a busy machine */

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2,
               "a lock would not be shared with another process");

/* What all processes see, at the same address: made before the first fork. */
struct shared {
    struct curl_run run;     /* number_of_port is not shared: each process knows its own */
    struct download_job job; /* the caller's, with `hooks` for its hooks */
    struct download_hooks hooks;
    int news_fd;         /* where the children tell */
    _Atomic size_t next; /* request that nobody has taken yet */
    _Atomic int error;   /* -errno of a process that could not work; 0: none */
    _Atomic int cancelled;
    struct transfer_result *results; /* [job.count] */
    _Atomic unsigned char *done;     /* [job.count]: the slot is whole; a process dies anywhere */
};

/* The caller's side. */
struct pool {
    const struct download_job *job;
    struct transfer_result *results;
    struct shared *shared;
    size_t shared_bytes;
    pid_t *children;
    size_t child_count;
    int news_fd;
    bool cancelled;
    size_t taken;      /* requests, when that number was last seen to change, */
    uint64_t taken_ns; /* and when that was */
};

/* One process and its place in flight. */
struct worker {
    struct shared *shared;
    struct curl_transfer transfer;
};

/* What a child tells; its body, if it has one, is in a file in memory that comes along. */
struct news {
    enum {
        NEWS_COMPLETE,
        NEWS_BODY
    } kind;
    size_t index;
    size_t body_bytes;
};

/* Room for one descriptor beside the news. */
union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void shared_fail(struct shared *shared, int error)
{
    int none = 0;

    (void)atomic_compare_exchange_strong(&shared->error, &none, error);
}

/* News, from a child */

static void control_put(struct msghdr *message, union control *control, int fd)
{
    memset(control, 0, sizeof *control);
    message->msg_control = control->bytes;
    message->msg_controllen = sizeof control->bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

/* The socket keeps the bounds of messages: children need not take turns. */
static void news_send(struct shared *shared, struct news news, int body_fd)
{
    struct iovec part = {.iov_base = &news, .iov_len = sizeof news};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    ssize_t sent = -1;

    if (body_fd >= 0) {
        control_put(&message, &control, body_fd);
    }
    do {
        sent = sendmsg(shared->news_fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        shared_fail(shared, -errno);
    }
}

/* hook, in a child: the slot is final */
static void tell_complete(void *user, size_t index, const struct transfer_result *result)
{
    (void)result; /* the caller can see it */
    news_send(user, (struct news){.kind = NEWS_COMPLETE, .index = index}, -1);
}

/* @return a descriptor or -errno */
static int body_file(const char *body, size_t bytes)
{
    int fd = memfd_create("bench-body", MFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    while (bytes > 0) {
        ssize_t written = write(fd, body, bytes);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            int error = written < 0 ? errno : EIO;
            (void)close(fd);
            return -error;
        }
        body += written;
        bytes -= (size_t)written;
    }
    return fd;
}

/* hook, in a child: a verified body */
static void tell_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct shared *shared = user;
    const struct news news = {.kind = NEWS_BODY, .index = index, .body_bytes = body_bytes};

    int fd = body_file(body, body_bytes);
    if (fd < 0) {
        shared_fail(shared, fd);
        return;
    }
    news_send(shared, news, fd);
    (void)close(fd);
}

/* hook, in a child: has the caller asked to stop? */
static int ask_cancelled(void *user)
{
    struct shared *shared = user;

    return atomic_load_explicit(&shared->cancelled, memory_order_relaxed);
}

/* A child, as a thread of curl_threads.c */

static enum transfer_step worker_start(struct worker *self, size_t index)
{
    return curl_transfer_start(&self->transfer, index);
}

/* Blocks this process until the response is there; the others go on. */
static enum transfer_step worker_advance(struct worker *self)
{
    return curl_transfer_finish(&self->transfer, curl_transfer_perform(&self->transfer));
}

static void worker_finish(struct worker *self, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step = step == TRANSFER_SAVE ? curl_transfer_save(&self->transfer) : worker_advance(self);
    }
}

static void worker_loop(struct worker *self)
{
    struct shared *shared = self->shared;
    const struct download_job *job = &shared->job;

    while (atomic_load(&shared->error) == 0) {
        size_t index = atomic_fetch_add(&shared->next, 1);
        if (index >= job->count) {
            break;
        }
        if (transfer_cancelled(job)) {
            transfer_cancel_unstarted(job, shared->results, index, clock_now_ns());
        } else {
            worker_finish(self, worker_start(self, index));
        }
        atomic_store_explicit(&shared->done[index], 1, memory_order_release);
    }
}

/* What the caller has registered for its own end, and not yet written, is not ours: _exit. */
static _Noreturn void worker_main(struct shared *shared, pid_t parent)
{
    struct worker self = {.shared = shared};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { /* it had died before that took effect */
        _exit(EXIT_FAILURE);
    }
    int result = curl_transfer_init(&self.transfer, &shared->run);
    if (result < 0) {
        shared_fail(shared, result);
    } else {
        worker_loop(&self);
    }
    curl_transfer_release(&self.transfer);
    _exit(EXIT_SUCCESS);
}

/* News, at the caller's */

/* @return the descriptor that came along; -1: none */
static int control_get(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

static void told_body(struct pool *self, const struct news *news, int fd)
{
    const struct download_hooks *hooks = self->job->hooks;

    if (fd < 0) {
        shared_fail(self->shared, -EMFILE); /* no descriptor was left for it */
        return;
    }
    if (news->body_bytes == 0) {
        hooks->on_body(hooks->user, news->index, "", 0);
        return;
    }
    void *body = mmap(NULL, news->body_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (body == MAP_FAILED) {
        shared_fail(self->shared, -errno);
        return;
    }
    hooks->on_body(hooks->user, news->index, body, news->body_bytes);
    (void)munmap(body, news->body_bytes);
}

static void told_complete(struct pool *self, size_t index)
{
    const struct download_hooks *hooks = self->job->hooks;

    self->results[index] = self->shared->results[index];
    hooks->on_complete(hooks->user, index, &self->results[index]);
}

/* All there is to hear just now. @return false when nobody is left to tell anything */
static bool pool_listen(struct pool *self)
{
    struct news news;
    union control control;

    for (;;) {
        struct iovec part = {.iov_base = &news, .iov_len = sizeof news};
        struct msghdr message = {
            .msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = control.bytes,
            .msg_controllen = sizeof control.bytes,
        };
        ssize_t got = recvmsg(self->news_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got <= 0) {
            return got < 0;
        }
        assert(got == sizeof news);
        int fd = control_get(&message);
        if (news.kind == NEWS_BODY) {
            told_body(self, &news, fd);
        } else {
            told_complete(self, news.index);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

/* The pool */

/* @return how many processes run; shared->error is set when that is not all of them */
static size_t pool_start(struct pool *self, size_t count)
{
    struct shared *shared = self->shared;
    const pid_t parent = getpid();
    size_t started = 0;

    while (started < count && atomic_load(&shared->error) == 0) {
        pid_t child = fork();
        if (child < 0) {
            shared_fail(shared, -errno);
            break;
        }
        if (child == 0) {
            (void)close(self->news_fd);
            worker_main(shared, parent);
        }
        self->children[started++] = child;
    }
    return started;
}

/* How long a process may take for one transfer. */
static uint64_t patience_ns(const struct download_job *job)
{
    if (job->timeout_ns > (UINT64_MAX / 2 - STALL_NS) / job->attempts_max) {
        return UINT64_MAX / 2;
    }
    return job->timeout_ns * job->attempts_max + STALL_NS;
}

/* Nobody has taken a request for longer than any may take: whoever is left hangs. */
static void pool_end_stall(struct pool *self)
{
    const uint64_t now_ns = clock_now_ns();
    const size_t taken = atomic_load(&self->shared->next);

    if (taken != self->taken) {
        self->taken = taken;
        self->taken_ns = now_ns;
    } else if (now_ns - self->taken_ns > patience_ns(self->job)) {
        for (size_t i = 0; i < self->child_count; i++) {
            (void)kill(self->children[i], SIGKILL);
        }
    }
}

/* Until the last child has gone, dead or done. */
static void pool_wait(struct pool *self)
{
    const struct download_hooks *hooks = self->job->hooks;
    const bool watched = hooks != NULL && hooks->cancelled != NULL;
    struct pollfd news = {.fd = self->news_fd, .events = POLLIN};

    self->taken_ns = clock_now_ns();
    do {
        (void)poll(&news, 1, watched ? CURL_RUN_CANCEL_POLL_MS : WAIT_MAX_MS);
        if (!self->cancelled && transfer_cancelled(self->job)) {
            self->cancelled = true;
            atomic_store_explicit(&self->shared->cancelled, 1, memory_order_relaxed);
        }
        pool_end_stall(self);
    } while (pool_listen(self));
    for (size_t i = 0; i < self->child_count; i++) {
        while (waitpid(self->children[i], NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

/* A transfer whose process has died. Nobody is left to make another attempt. */
static void slot_bury(struct pool *self, size_t index)
{
    struct download_job job = *self->job;
    struct transfer transfer;

    job.attempts_max = 0;
    transfer_init(&transfer, &job, self->results);
    transfer.index = index;
    transfer.request = &job.requests[index];
    transfer.slot = &self->results[index];
    *transfer.slot = (struct transfer_result){
        .started_ns = self->shared->results[index].started_ns,
        .attempts = self->shared->results[index].attempts,
    };
    (void)transfer_fail(&transfer, TRANSFER_RESET, 0, "the process that had it died",
                        clock_now_ns());
}

/* What the hooks have not been told of yet. @return 0; -errno when no answer is to be had */
static int pool_collect(struct pool *self)
{
    struct shared *shared = self->shared;
    const size_t taken = atomic_load(&shared->next);

    if (atomic_load(&shared->error) != 0) {
        return atomic_load(&shared->error);
    }
    if (taken < self->job->count) {
        return -ECHILD; /* all have died */
    }
    for (size_t i = 0; i < self->job->count; i++) {
        if (self->results[i].status != TRANSFER_UNSET) {
            continue;
        }
        if (atomic_load_explicit(&shared->done[i], memory_order_acquire) != 0) {
            self->results[i] = shared->results[i];
        } else {
            slot_bury(self, i);
        }
    }
    return 0;
}

/* Only what the caller asks for is told. */
static struct download_hooks relay(const struct download_hooks *hooks, struct shared *shared)
{
    return (struct download_hooks){
        .user = shared,
        .on_complete = hooks->on_complete != NULL ? tell_complete : NULL,
        .on_body = hooks->on_body != NULL ? tell_body : NULL,
        .cancelled = hooks->cancelled != NULL ? ask_cancelled : NULL,
    };
}

static int shared_init(struct pool *self)
{
    const struct download_job *job = self->job;
    const size_t slot_bytes = sizeof *self->shared->results + sizeof *self->shared->done;

    if (job->count > (SIZE_MAX - sizeof *self->shared) / slot_bytes) {
        return -ENOMEM;
    }
    self->shared_bytes = sizeof *self->shared + job->count * slot_bytes;
    struct shared *shared =
        mmap(NULL, self->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return -errno;
    }
    self->shared = shared;
    shared->results = (struct transfer_result *)(void *)(shared + 1);
    shared->done = (_Atomic unsigned char *)(void *)(shared->results + job->count);
    shared->job = *job;
    if (job->hooks != NULL) {
        shared->hooks = relay(job->hooks, shared);
        shared->job.hooks = &shared->hooks;
    }
    return curl_run_init(&shared->run, &shared->job, shared->results);
}

static int pool_run(struct pool *self)
{
    const size_t count = curl_run_places(self->job);
    int ends[2];

    self->children = calloc(count, sizeof self->children[0]);
    if (self->children == NULL) {
        return -ENOMEM;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    self->news_fd = ends[0];
    self->shared->news_fd = ends[1];
    self->child_count = pool_start(self, count);
    (void)close(ends[1]); /* the children's: its end is theirs to tell */
    pool_wait(self);
    (void)close(ends[0]);
    return pool_collect(self);
}

static int processes_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct pool self = {.job = job, .results = results};

    if (job->count == 0) {
        return 0;
    }
    int result = shared_init(&self);
    if (result == 0) {
        result = pool_run(&self);
    }
    free(self.children);
    if (self.shared != NULL) {
        curl_run_release(&self.shared->run);
        (void)munmap(self.shared, self.shared_bytes);
    }
    return result;
}

const struct bench_backend backend_curl_processes = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_processes",
    .engine = "curl",
    .model = "processes",
    .waits_in = "poll(2)",
    .summary = "libcurl, a pool of processes, one handle each",
    .download_many = processes_download_many,
};
