#include "endpoint.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct endpoint *find(const struct endpoint_table *table, const struct url_view *url)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct endpoint *endpoint = &table->endpoints[i];
        /* Spelled the same, as nearly always: no need to look at the parts. */
        if ((endpoint->authority_bytes == url->authority_bytes &&
             memcmp(endpoint->authority, url->authority, url->authority_bytes) == 0) ||
            url_same_authority(&endpoint->view, url)) {
            return endpoint;
        }
    }
    return NULL;
}

/* Connecting tries one address only. Where a name has several, it is an IPv4 one: "localhost"
 * is both ::1 and 127.0.0.1, and many a server listens on the latter alone. */
static const struct addrinfo *choose(const struct addrinfo *all)
{
    for (const struct addrinfo *one = all; one != NULL; one = one->ai_next) {
        if (one->ai_family == AF_INET) {
            return one;
        }
    }
    return all;
}

/* Blocks for as long as resolv.conf(5) lets it (timeout x attempts): before the first transfer. */
static int resolve(struct endpoint *endpoint)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *all = NULL;
    char host[URL_BYTES_MAX + 1];
    char port[8];

    assert(endpoint->view.host_bytes < sizeof host);
    memcpy(host, endpoint->view.host, endpoint->view.host_bytes);
    host[endpoint->view.host_bytes] = '\0';
    (void)snprintf(port, sizeof port, "%u", (unsigned)endpoint->view.port);
    int error = getaddrinfo(host, port, &hints, &all);
    if (error == EAI_MEMORY) {
        return -ENOMEM;
    }
    if (error != 0) {
        return 0; /* the transfers that need it will say so */
    }
    const struct addrinfo *chosen = choose(all);
    memcpy(&endpoint->address, chosen->ai_addr, chosen->ai_addrlen);
    endpoint->address_bytes = chosen->ai_addrlen;
    freeaddrinfo(all);
    return 0;
}

/* Does the URL begin as the one that named this endpoint? Nearly all of a job do, and then they
 * need not be taken apart to know it. */
static bool is_at(const struct endpoint *endpoint, const char *url)
{
    static const char scheme[] = "http://";
    const size_t scheme_bytes = sizeof scheme - 1;

    return strncmp(url, scheme, scheme_bytes) == 0 &&
           strncmp(url + scheme_bytes, endpoint->authority, endpoint->authority_bytes) == 0 &&
           url[scheme_bytes + endpoint->authority_bytes] == '/';
}

static int add(struct endpoint_table *table, const struct url_view *url)
{
    size_t bytes = (table->count + 1) * sizeof *table->endpoints;
    struct endpoint *endpoints = realloc(table->endpoints, bytes);
    if (endpoints == NULL) {
        return -ENOMEM;
    }
    table->endpoints = endpoints;
    struct endpoint *endpoint = &endpoints[table->count];
    *endpoint = (struct endpoint){
        .authority = strndup(url->authority, url->authority_bytes),
        .authority_bytes = url->authority_bytes,
        .view = *url,
    };
    if (endpoint->authority == NULL) {
        return -ENOMEM;
    }
    table->count++;
    return resolve(endpoint);
}

int endpoint_table_init(struct endpoint_table *table, const struct download_job *job)
{
    *table = (struct endpoint_table){0};
    for (size_t i = 0; i < job->count; i++) {
        struct url_view url;
        if (table->count > 0 && is_at(&table->endpoints[0], job->requests[i].url)) {
            continue;
        }
        int result = url_parse(job->requests[i].url, &url);
        assert(result == 0);
        if (find(table, &url) == NULL) {
            result = add(table, &url);
        }
        if (result < 0) {
            endpoint_table_release(table);
            return result;
        }
    }
    return 0;
}

void endpoint_table_release(struct endpoint_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->endpoints[i].authority);
    }
    free(table->endpoints);
    *table = (struct endpoint_table){0};
}

const struct endpoint *endpoint_find(const struct endpoint_table *table, const struct url_view *url)
{
    const struct endpoint *endpoint = find(table, url);
    assert(endpoint != NULL);
    return endpoint;
}
