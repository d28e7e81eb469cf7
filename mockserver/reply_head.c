#include "reply_head.h"

#include "status.h"

#include <assert.h>
#include <string.h>

struct text_out {
    char *out;
    size_t bytes;
};

static void put(struct text_out *text, const char *data, size_t bytes)
{
    assert(text->bytes + bytes <= REPLY_HEAD_BYTES_MAX);
    memcpy(text->out + text->bytes, data, bytes);
    text->bytes += bytes;
}

static void put_text(struct text_out *text, const char *data)
{
    put(text, data, strlen(data));
}

static void put_number(struct text_out *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(text, digits + at, sizeof(digits) - at);
}

static void put_field(struct text_out *text, const char *name, const char *value)
{
    if (value != NULL) {
        put_text(text, name);
        put_text(text, value);
        put_text(text, "\r\n");
    }
}

bool reply_status_has_body(int status)
{
    return status != 204 && status != 304; /* RFC 9112 section 6.3 */
}

size_t reply_head_write(const struct reply_head *head, char out[static REPLY_HEAD_BYTES_MAX],
                        size_t *date_at)
{
    struct text_out text = {.out = out};
    const char *reason = status_text(head->status);
    put_text(&text, "HTTP/1.1 ");
    put_number(&text, (uint64_t)head->status);
    put_text(&text, " ");
    put(&text, reason, strlen(reason) - 1); /* without its line end */
    put_text(&text, "\r\nDate: ");
    if (date_at != NULL) {
        *date_at = text.bytes;
    }
    put(&text, head->date, HTTP_DATE_BYTES);
    put_text(&text, "\r\nServer: bench-mockserver\r\n");
    if (reply_status_has_body(head->status)) {
        put_field(&text, "Content-Type: ", head->content_type);
        put_text(&text, "Content-Length: ");
        put_number(&text, head->body_bytes);
        put_text(&text, "\r\n");
    }
    put_field(&text, "Allow: ", head->allow);
    put_field(&text, "X-Fault: ", head->fault_name);
    put_field(&text, "Connection: ", head->connection);
    put_text(&text, "\r\n");
    return text.bytes;
}
