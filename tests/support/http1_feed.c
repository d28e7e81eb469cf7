#include "tests/support/http1_feed.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void promise(struct http1_outcome *outcome, bool kept, const char *what)
{
    if (!kept && outcome->broken == NULL) {
        outcome->broken = what;
    }
}

static void note_body(struct http1_outcome *outcome, const struct http1_span *span)
{
    for (size_t i = 0; i < span->bytes; i++) {
        if (outcome->body_bytes < sizeof(outcome->body) - 1) {
            outcome->body[outcome->body_bytes] = span->data[i];
        }
        outcome->body_sum = outcome->body_sum * 31 + (unsigned char)span->data[i] + 1;
        outcome->body_bytes++;
    }
}

static void note_location(struct http1_outcome *outcome, const struct http1_span *span)
{
    size_t bytes = span->bytes;
    if (bytes > sizeof(outcome->location) - 1) {
        bytes = sizeof(outcome->location) - 1;
    }
    memcpy(outcome->location, span->data, bytes);
    outcome->location[bytes] = '\0';
    outcome->locations++;
}

static void note_event(struct http1_outcome *outcome, const struct http1_parser *parser,
                       const struct http1_span *span)
{
    switch (outcome->result) {
    case HTTP1_LOCATION:
        promise(outcome, !outcome->head, "Location before the head");
        note_location(outcome, span);
        break;
    case HTTP1_HEAD:
        promise(outcome, !outcome->head, "one head");
        promise(outcome, parser->status >= 200, "the status of a final response");
        outcome->head = true;
        break;
    case HTTP1_BODY:
        promise(outcome, outcome->head, "the head before the body");
        promise(outcome, span->bytes > 0, "no empty piece of body");
        note_body(outcome, span);
        break;
    case HTTP1_DONE:
        promise(outcome, outcome->head, "the head before the end");
        break;
    default:
        break;
    }
    promise(outcome, outcome->head || parser->status == 0, "no status before the head");
    promise(outcome, outcome->result == HTTP1_DONE || !parser->keep_alive,
            "no keep_alive before the end");
    promise(outcome, (outcome->result == -EPROTO) == (parser->error != NULL),
            "a reason with -EPROTO and only then");
}

/* All steps that the bytes at hand allow. @return how many bytes are used up */
static size_t feed_piece(struct http1_parser *parser, const char *data, size_t bytes,
                         struct http1_outcome *outcome)
{
    size_t used = 0;
    size_t steps = 0;
    do {
        struct http1_span span = {.data = NULL, .bytes = 0};
        size_t consumed = SIZE_MAX;
        outcome->result = http1_parse(parser, data + used, bytes - used, &consumed, &span);
        promise(outcome, consumed <= bytes - used, "no more consumed than given");
        if (outcome->broken != NULL) {
            return bytes;
        }
        if (outcome->result == HTTP1_BODY || outcome->result == HTTP1_LOCATION) {
            bool inside = span.data >= data + used && span.data + span.bytes <= data + bytes;
            promise(outcome, inside, "a span inside the data");
        }
        used += consumed;
        note_event(outcome, parser, &span);
        promise(outcome, ++steps <= bytes + 4, "an end of the steps");
    } while (outcome->broken == NULL && outcome->result > 0 && outcome->result != HTTP1_DONE);
    return used;
}

void http1_feed(struct guard_page *page, const char *data, size_t bytes, http1_piece_fn *piece,
                void *user, struct http1_outcome *outcome)
{
    struct http1_parser parser;
    size_t used = 0;
    size_t given = 0;
    *outcome = (struct http1_outcome){.result = HTTP1_MORE};
    http1_parser_init(&parser);
    while (given < bytes && outcome->result == HTTP1_MORE && outcome->broken == NULL) {
        size_t next = piece(bytes - given, user);
        assert(next > 0 && next <= bytes - given);
        given += next;
        used += feed_piece(&parser, guard_page_put(page, data + used, given - used), given - used,
                           outcome);
    }
    if (outcome->result == HTTP1_MORE && outcome->broken == NULL) {
        outcome->ended = true;
        outcome->result = http1_finish(&parser);
        note_event(outcome, &parser, NULL);
    }
    outcome->status = parser.status;
    outcome->keep_alive = parser.keep_alive;
    outcome->has_length = parser.has_length;
    outcome->chunked = parser.chunked;
    outcome->content_bytes = parser.content_bytes;
    outcome->error = parser.error;
    outcome->rest_bytes = outcome->result == HTTP1_DONE ? bytes - used : 0;
}

const char *http1_outcome_difference(const struct http1_outcome *a, const struct http1_outcome *b)
{
    const struct {
        const char *name;
        bool equal;
    } members[] = {
        {"result", a->result == b->result},
        {"head", a->head == b->head},
        {"ended", a->ended == b->ended},
        {"status", a->status == b->status},
        {"keep_alive", a->keep_alive == b->keep_alive},
        {"has_length", a->has_length == b->has_length},
        {"chunked", a->chunked == b->chunked},
        {"content_bytes", a->content_bytes == b->content_bytes},
        {"body_bytes", a->body_bytes == b->body_bytes},
        {"body_sum", a->body_sum == b->body_sum},
        {"location", strcmp(a->location, b->location) == 0},
        {"locations", a->locations == b->locations},
        {"rest_bytes", a->rest_bytes == b->rest_bytes},
        {"error", a->error == b->error},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (!members[i].equal) {
            return members[i].name;
        }
    }
    return NULL;
}
