#include "http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 15000L
#define CONNECT_TIMEOUT_MS 5000L

static size_t take(char *data, size_t size, size_t count, void *user)
{
    struct http_reply *reply = user;
    size_t bytes = size * count;

    if (bytes > HTTP_CLIENT_BODY_BYTES_MAX - reply->body_bytes) {
        return 0;
    }
    char *body = realloc(reply->body, reply->body_bytes + bytes + 1);
    if (body == NULL) {
        return 0;
    }
    memcpy(body + reply->body_bytes, data, bytes);
    reply->body = body;
    reply->body_bytes += bytes;
    body[reply->body_bytes] = '\0';
    return bytes;
}

static void prepare(CURL *easy, const char *url, bool post, struct http_reply *reply)
{
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reply->error);
    if (post) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
}

static int request(const char *url, bool post, struct http_reply *reply)
{
    long status = 0;

    *reply = (struct http_reply){.status = 0};
    reply->body = calloc(1, 1);
    CURL *easy = curl_easy_init();
    if (easy == NULL || reply->body == NULL) {
        curl_easy_cleanup(easy);
        return -ENOMEM;
    }
    prepare(easy, url, post, reply);
    CURLcode code = curl_easy_perform(easy);
    if (code != CURLE_OK && reply->error[0] == '\0') {
        (void)snprintf(reply->error, sizeof reply->error, "%s", curl_easy_strerror(code));
    }
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    /* The error buffer dies with `reply`, the handle must not outlive it. */
    curl_easy_cleanup(easy);
    reply->status = (int)status;
    return code == CURLE_OK ? 0 : -EIO;
}

int http_client_get(const char *url, struct http_reply *reply)
{
    return request(url, false, reply);
}

int http_client_post(const char *url, struct http_reply *reply)
{
    return request(url, true, reply);
}

void http_reply_release(struct http_reply *reply)
{
    free(reply->body);
    reply->body = NULL;
    reply->body_bytes = 0;
}
