#include "dns_channel.h"

#include "clock.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESS_BYTES 4
#define ADDRESSES_MAX 1024

/* In the third and the fourth byte of a message (RFC 1035 section 4.1.1). */
#define FLAG_ANSWER 0x80
#define RCODE_MASK 0x0f

/* c-ares counts in milliseconds from its own look at the clock: its turn must be over by ours. */
#define TURN_SLACK_MS 2

/* Beyond ours, which is exact: ares_init_options(3) takes an int. */
#define TURN_NEVER_MS (24 * 3600 * 1000)

static int errno_of_ares(int status)
{
    return status == ARES_SUCCESS ? 0 : status == ARES_ENOMEM ? -ENOMEM : -ENOTSUP;
}

int dns_engine_init(void)
{
    return errno_of_ares(ares_library_init(ARES_LIB_INIT_ALL));
}

void dns_engine_release(void)
{
    ares_library_cleanup();
}

void dns_channel_init(struct dns_channel *channel, struct job_run *run, dns_watch *watch,
                      void *user)
{
    *channel = (struct dns_channel){.run = run, .watch = watch, .user = user};
    transfer_init(&channel->transfer, run->job, run->results);
}

static void ares_close(struct dns_channel *channel)
{
    if (channel->ares != NULL) {
        ares_destroy(channel->ares);
        channel->ares = NULL;
    }
}

void dns_channel_release(struct dns_channel *channel)
{
    ares_close(channel);
    transfer_release(&channel->transfer);
}

/* ---- the channel ---- */

/* callback from c-ares: a socket that is to be watched, or no more */
static void on_sock_state(void *user, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *channel = user;

    if (!readable && !writable) {
        channel->connection = 0; /* c-ares closes it */
    }
    if (channel->watch != NULL) {
        channel->watch(channel->user, fd, readable != 0, writable != 0);
    }
}

/* callback from c-ares: a socket is connected (UDP: has its peer) */
static int on_socket(ares_socket_t fd, int type, void *user)
{
    struct dns_channel *channel = user;

    (void)fd;
    channel->over_tcp = channel->over_tcp || type == SOCK_STREAM;
    channel->connection = job_run_connection(channel->run);
    transfer_connection(&channel->transfer, channel->connection);
    return 0;
}

/*
 * One try per server, because attempts are ours. NOCHECKRESP: else a SERVFAIL is asked again
 * and then told as "could not contact". NOSEARCH and lookups "b": the name as it is, by DNS alone,
 * not from /etc/hosts. With all of this given, the files of the system are read only for its
 * servers.
 */
static int ares_open(struct dns_channel *channel, const char *server, int turn_ms)
{
    const bool fresh = (channel->run->job->flags & DOWNLOAD_FRESH_CONNECTIONS) != 0;
    struct in_addr replaced = {0};
    char lookups[] = "b"; /* copied, as all of it */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP | (fresh ? 0 : ARES_FLAG_STAYOPEN),
        .timeout = turn_ms,
        .tries = 1,
        .ndots = 1,
        .lookups = lookups,
        .sock_state_cb = on_sock_state,
        .sock_state_cb_data = channel,
        .servers = &replaced,
        .nservers = 1,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
               ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST |
               ARES_OPT_NOROTATE;
#if ARES_VERSION >= 0x011f00 /* 1.31: answers are kept, unless told not to: 0 seconds */
    mask |= ARES_OPT_QUERY_CACHE;
    options.qcache_max_ttl = 0;
#endif

    int status = ares_init_options(&channel->ares, &options,
                                   server[0] != '\0' ? mask | ARES_OPT_SERVERS : mask);
    if (status == ARES_SUCCESS && server[0] != '\0') {
        status = ares_set_servers_ports_csv(channel->ares, server);
    }
    if (status != ARES_SUCCESS) {
        ares_close(channel);
        return errno_of_ares(status);
    }
    ares_set_socket_callback(channel->ares, on_socket, channel);
    return 0;
}

static unsigned servers_count(const struct dns_channel *channel)
{
    struct ares_addr_port_node *servers = NULL;
    unsigned count = 0;

    if (ares_get_servers_ports(channel->ares, &servers) == ARES_SUCCESS) {
        for (const struct ares_addr_port_node *one = servers; one != NULL; one = one->next) {
            count++;
        }
        ares_free_data(servers);
    }
    return count > 0 ? count : 1;
}

/*
 * Where there are several servers they share the time of an attempt. A channel that has gone over
 * to TCP serves one lookup: the server may end the connection when it has answered (RFC 7766
 * section 6.2.3), and c-ares takes that for a failure of all that is asked by then, over UDP too.
 */
static int channel_open(struct dns_channel *channel, const char *server)
{
    const uint64_t timeout_ns = channel->run->job->timeout_ns;

    if (channel->ares != NULL && !channel->over_tcp && strcmp(server, channel->server) == 0) {
        return 0;
    }
    ares_close(channel);
    channel->over_tcp = false;
    memcpy(channel->server, server, sizeof channel->server);
    channel->turn_ns = timeout_ns;
    int result = ares_open(channel, server, TURN_NEVER_MS);
    unsigned count = result == 0 ? servers_count(channel) : 1;
    if (count > 1) {
        uint64_t turn_ms = timeout_ns / count / NS_PER_MS;
        channel->turn_ns = timeout_ns / count;
        ares_close(channel);
        result =
            ares_open(channel, server, turn_ms > TURN_SLACK_MS ? (int)turn_ms - TURN_SLACK_MS : 1);
    }
    return result;
}

/* ---- the answer ---- */

static int compare_addresses(const void *a, const void *b)
{
    return memcmp(a, b, ADDRESS_BYTES);
}

/* @return ARES_SUCCESS, or what it is instead */
static int take_addresses(struct dns_channel *channel, const struct hostent *host)
{
    unsigned char addresses[ADDRESSES_MAX][ADDRESS_BYTES];
    size_t count = 0;

    for (; host->h_addr_list[count] != NULL; count++) {
        if (count == ADDRESSES_MAX) {
            return ARES_EBADRESP;
        }
        memcpy(addresses[count], host->h_addr_list[count], ADDRESS_BYTES);
    }
    if (count == 0) {
        return ARES_ENODATA;
    }
    qsort(addresses, count, sizeof addresses[0], compare_addresses);
    int result = transfer_expect(&channel->transfer, count * ADDRESS_BYTES);
    if (result == 0) {
        result = transfer_body(&channel->transfer, addresses, count * ADDRESS_BYTES);
    }
    return result == 0 ? ARES_SUCCESS : result == -ENOMEM ? ARES_ENOMEM : ARES_EBADRESP;
}

/* What c-ares does not look at: whether it is an answer at all, and error codes beyond those of
 * RFC 1035, which it takes for none. @return the status that it should have */
static int status_of_message(int status, const unsigned char *message, int bytes)
{
    if (message == NULL || bytes < NS_HFIXEDSZ) {
        return status;
    }
    if ((message[2] & FLAG_ANSWER) == 0) {
        return ARES_EBADRESP;
    }
    return (message[3] & RCODE_MASK) > ns_r_refused ? ARES_ESERVFAIL : status;
}

/* callback from c-ares: how a question ended. Bookkeeping only: c-ares is still at work. */
static void on_answer(void *user, int status, int timeouts, unsigned char *message, int bytes)
{
    struct dns_channel *channel = user;
    struct hostent *host = NULL;

    (void)timeouts;
    channel->asking = false;
    status = status_of_message(status, message, bytes);
    if (status == ARES_SUCCESS) {
        status = ares_parse_a_reply(message, bytes, &host, NULL, NULL);
    }
    if (status == ARES_SUCCESS) {
        status = take_addresses(channel, host);
    }
    if (host != NULL) {
        ares_free_hostent(host);
    }
    channel->answer = status;
}

static enum transfer_step fail(struct dns_channel *channel, enum transfer_status status,
                               int os_error, const char *message)
{
    return transfer_fail(&channel->transfer, status, os_error, message, channel->now_ns);
}

/* The answer is there, whichever it is. */
static enum transfer_step settle(struct dns_channel *channel)
{
    if (channel->answer != ARES_ETIMEOUT && channel->answer != ARES_ECONNREFUSED) {
        transfer_first_byte(&channel->transfer, channel->now_ns);
    }
    switch (channel->answer) {
    case ARES_SUCCESS:
        return transfer_found(&channel->transfer, channel->now_ns);
    case ARES_ENOTFOUND:
        return fail(channel, TRANSFER_NOT_FOUND, 0, "no such name");
    case ARES_ENODATA:
        return fail(channel, TRANSFER_NOT_FOUND, 0, "the name has no address");
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
        return fail(channel, TRANSFER_UNRESOLVED, 0, ares_strerror(channel->answer));
    case ARES_ETIMEOUT:
        return fail(channel, TRANSFER_TIMEOUT, ETIMEDOUT, NULL);
    case ARES_ECONNREFUSED:
        return fail(channel, TRANSFER_REFUSED, ECONNREFUSED, NULL);
    case ARES_ENOMEM:
        return fail(channel, TRANSFER_RESET, ENOMEM, NULL);
    default:
        return fail(channel, TRANSFER_PROTOCOL, 0, ares_strerror(channel->answer));
    }
}

static enum transfer_step step_of(struct dns_channel *channel)
{
    channel->now_ns = clock_now_ns();
    return channel->asking ? TRANSFER_MORE : settle(channel);
}

/* ---- a lookup ---- */

enum transfer_step dns_channel_start(struct dns_channel *channel, size_t index, uint64_t now_ns)
{
    channel->now_ns = now_ns;
    transfer_start(&channel->transfer, index, now_ns);
    return TRANSFER_AGAIN;
}

enum transfer_step dns_channel_ask(struct dns_channel *channel)
{
    struct dns_url url;

    int result = dns_url_parse(channel->transfer.request->url, &url);
    assert(result == 0); /* the host has checked it */
    result = channel_open(channel, url.server);
    if (result < 0) {
        return fail(channel, TRANSFER_REFUSED, -result, "no channel for the lookup");
    }
    channel->asking = true;
    channel->look_ns = channel->now_ns + channel->turn_ns;
    transfer_connection(&channel->transfer, channel->connection); /* unless there is a new one */
    ares_query(channel->ares, url.name, C_IN, T_A, on_answer, channel);
    return step_of(channel);
}

enum transfer_step dns_channel_ready(struct dns_channel *channel, int readable_fd, int writable_fd)
{
    bool asked = channel->asking;

    if (channel->ares == NULL) {
        return TRANSFER_MORE; /* of one that was given up */
    }
    ares_process_fd(channel->ares, readable_fd, writable_fd);
    return asked ? step_of(channel) : TRANSFER_MORE;
}

/* End the question: c-ares tells of it in on_answer. What of it is still to be sent over TCP stays
 * in the queue of a connection that is kept, but is freed (c-ares 1.18): no further with that. */
static void give_up(struct dns_channel *channel)
{
    ares_cancel(channel->ares);
    assert(!channel->asking);
    if (channel->over_tcp) {
        ares_close(channel);
    }
}

enum transfer_step dns_channel_look(struct dns_channel *channel)
{
    assert(channel->asking);
    channel->now_ns = clock_now_ns();
    if (channel->now_ns >= channel->transfer.deadline_ns) {
        give_up(channel);
        return fail(channel, TRANSFER_TIMEOUT, ETIMEDOUT, NULL);
    }
    channel->look_ns = channel->now_ns + channel->turn_ns;
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    return step_of(channel);
}

enum transfer_step dns_channel_cancel(struct dns_channel *channel)
{
    assert(channel->asking);
    give_up(channel);
    channel->now_ns = clock_now_ns();
    return fail(channel, TRANSFER_CANCELLED, ECANCELED, NULL);
}
