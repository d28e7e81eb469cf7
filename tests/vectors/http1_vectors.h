/**
 * Responses and what RFC 9112 makes of them, or what this project makes of them where the RFC
 * leaves a choice (see backends/http1.h). Each stands for a connection that carries just these
 * bytes and then ends.
 */
#ifndef BENCH_HTTP1_VECTORS_H
#define BENCH_HTTP1_VECTORS_H

#include "backends/http1.h"

#include <errno.h>

struct http1_vector {
    const char *name;
    const char *input;
    size_t input_bytes;
    int result;           /* HTTP1_DONE, -EPROTO, -EPIPE */
    int status;           /* 0: no head */
    bool keep_alive;      /* the connection may be used again */
    bool ended;           /* the end of the connection decided */
    size_t rest_bytes;    /* behind the response, left alone */
    const char *body;     /* NULL: none */
    const char *location; /* NULL: none */
    const char *error;    /* with -EPROTO */
};

#define INPUT(text) .input = (text), .input_bytes = sizeof(text) - 1
#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

/* what a good response looks like */
#define KEPT(code, text) .result = HTTP1_DONE, .status = (code), .keep_alive = true, .body = (text)
#define CLOSED(code, text) .result = HTTP1_DONE, .status = (code), .body = (text)
#define ENDED(code, text) .result = HTTP1_DONE, .status = (code), .ended = true, .body = (text)
/* and a bad one */
#define CUT(code, text) .result = -EPIPE, .status = (code), .ended = true, .body = (text)
#define BAD(reason) .result = -EPROTO, .error = (reason)
#define BAD_BODY(text, reason) .result = -EPROTO, .status = 200, .body = (text), .error = (reason)

static const struct http1_vector http1_vectors[] = {
    /* ---- status line, section 4 ---- */
    {"a plain response", INPUT(OK_LINE "Content-Length: 5\r\n\r\nhello"), KEPT(200, "hello")},
    {"no reason phrase", INPUT("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), KEPT(200, NULL)},
    {"no reason phrase nor the space before it", INPUT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
     KEPT(200, NULL)},
    {"a reason phrase in Latin-1, with a tab",
     INPUT("HTTP/1.1 404 nicht\tda\xdf\r\nContent-Length: 0\r\n\r\n"), KEPT(404, NULL)},
    {"an unknown status code", INPUT("HTTP/1.1 799 ?\r\nContent-Length: 0\r\n\r\n"),
     KEPT(799, NULL)},
    {"a status code below 100", INPUT("HTTP/1.1 099 ?\r\n\r\n"), BAD("status code below 100")},
    {"two digits", INPUT("HTTP/1.1 20 OK\r\n\r\n"), BAD("the status code is not three digits")},
    {"four digits", INPUT("HTTP/1.1 2000 OK\r\n\r\n"), BAD("the status code is not three digits")},
    {"a signed status code", INPUT("HTTP/1.1 +20 OK\r\n\r\n"),
     BAD("the status code is not three digits")},
    {"two spaces behind the version", INPUT("HTTP/1.1  200 OK\r\n\r\n"),
     BAD("the status code is not three digits")},
    {"a status line that is too short", INPUT("HTTP/1.1 20\r\n\r\n"),
     BAD("not the status line of HTTP/1.0 or HTTP/1.1")},
    {"HTTP/1.2", INPUT("HTTP/1.2 200 OK\r\n\r\n"),
     BAD("not the status line of HTTP/1.0 or HTTP/1.1")},
    {"HTTP/1.10", INPUT("HTTP/1.10 200 OK\r\n\r\n"),
     BAD("not the status line of HTTP/1.0 or HTTP/1.1")},
    {"HTTP/2.0", INPUT("HTTP/2.0 200 OK\r\n\r\n"), BAD("the response does not begin with HTTP/1")},
    {"the version in small letters", INPUT("http/1.1 200 OK\r\n\r\n"),
     BAD("the response does not begin with HTTP/1")},
    {"an empty line first", INPUT("\r\n" OK_LINE "Content-Length: 0\r\n\r\n"),
     BAD("the response does not begin with HTTP/1")},
    {"garbage without any line end", INPUT("\x16\x03\x01\x02garbage"),
     BAD("the response does not begin with HTTP/1")},
    {"HTTP/0.9", INPUT("<html>hello</html>\n"), BAD("the response does not begin with HTTP/1")},
    {"nothing at all", INPUT(""), CUT(0, NULL)},
    {"the beginning of a status line", INPUT("HTTP/1.1 200 O"), CUT(0, NULL)},
    {"the end in the middle of the fields", INPUT(OK_LINE "Content-Length: 5\r\n"), CUT(0, NULL)},
    {"the end between the last CR and LF", INPUT(OK_LINE "Content-Length: 0\r\n\r"), CUT(0, NULL)},

    /* ---- line ends and field lines, sections 2.2 and 5 ---- */
    {"LF alone behind the status line", INPUT("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
     BAD("a line ends without CR")},
    {"LF alone behind a field", INPUT(OK_LINE "Content-Length: 0\n\r\n"),
     BAD("a line ends without CR")},
    {"LF alone at the end of the head", INPUT(OK_LINE "Content-Length: 0\r\n\n"),
     BAD("a line ends without CR")},
    {"CR alone in a value", INPUT(OK_LINE "X-A: b\rContent-Length: 5\r\n\r\nhello"),
     BAD("CR without LF in a line")},
    {"two CR", INPUT(OK_LINE "X-A: b\r\r\n\r\n"), BAD("CR without LF in a line")},
    {"NUL in a value", INPUT(OK_LINE "X-A: b\0c\r\n\r\n"), BAD("control byte in a line")},
    {"NUL in a name", INPUT(OK_LINE "X\0A: b\r\n\r\n"), BAD("control byte in a line")},
    {"DEL in a value", INPUT(OK_LINE "X-A: b\x7f\r\n\r\n"), BAD("control byte in a line")},
    {"a space before the colon", INPUT(OK_LINE "Content-Length : 5\r\n\r\nhello"),
     BAD("not a field line")},
    {"a field without a colon", INPUT(OK_LINE "Content-Length\r\n\r\n"), BAD("not a field line")},
    {"a field without a name", INPUT(OK_LINE ": 5\r\n\r\n"), BAD("not a field line")},
    {"a name that is no token", INPUT(OK_LINE "Content(Length): 5\r\n\r\n"),
     BAD("not a field line")},
    {"a name in Latin-1",
     INPUT(OK_LINE "Gr\xfc\xdf"
                   "e-an-alle: 5\r\n\r\n"),
     BAD("not a field line")},
    {"every byte that a name may have",
     INPUT(OK_LINE "!#$%&'*+-.^_`|~0123456789aZ: b\r\nContent-Length: 0\r\n\r\n"), KEPT(200, NULL)},
    {"a folded field", INPUT(OK_LINE "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
     BAD("folded field line")},
    {"a first field that begins with a tab", INPUT(OK_LINE "\tX-A: b\r\n\r\n"),
     BAD("folded field line")},
    {"empty values, blanks around values, tabs, colons, obs-text",
     INPUT(OK_LINE "X-A:\r\nX-B: \t \r\nX-C: a:b\tc d \r\nX-D: \xff\x80\r\n"
                   "Content-Length:\t 2 \t\r\n\r\nok"),
     KEPT(200, "ok")},
    {"names in any case", INPUT(OK_LINE "cOnTeNt-LeNgTh: 2\r\nCONNECTION: CLOSE\r\n\r\nok"),
     CLOSED(200, "ok")},
    {"names that only look alike",
     INPUT(OK_LINE "Content_Length: 9\r\nContent-Lengts: 9\r\nLocatioN_: x\r\nCONNECTIOM: close\r\n"
                   "Content-Length: 2\r\n\r\nok"),
     KEPT(200, "ok")},

    /* ---- Content-Length, section 6.3; RFC 9110 section 8.6 ---- */
    {"the body one byte short", INPUT(OK_LINE "Content-Length: 5\r\n\r\nhell"), CUT(200, "hell")},
    {"the body missing", INPUT(OK_LINE "Content-Length: 5\r\n\r\n"), CUT(200, NULL)},
    {"bytes behind the body", INPUT(OK_LINE "Content-Length: 5\r\n\r\nhelloHTTP"),
     KEPT(200, "hello"), .rest_bytes = 4},
    {"bytes behind an empty body", INPUT(OK_LINE "Content-Length: 0\r\n\r\nHTTP"), KEPT(200, NULL),
     .rest_bytes = 4},
    {"two equal lengths", INPUT(OK_LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
     KEPT(200, "hello")},
    {"a list of equal lengths", INPUT(OK_LINE "Content-Length: 5, 05 ,5\r\n\r\nhello"),
     KEPT(200, "hello")},
    {"two different lengths", INPUT(OK_LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
     BAD("Content-Length says two different things")},
    {"a list of different lengths", INPUT(OK_LINE "Content-Length: 5, 6\r\n\r\nhello"),
     BAD("Content-Length says two different things")},
    {"a list with an empty place", INPUT(OK_LINE "Content-Length: 5,\r\n\r\nhello"),
     BAD("Content-Length is not a number")},
    {"an empty length", INPUT(OK_LINE "Content-Length:\r\n\r\n"),
     BAD("Content-Length is not a number")},
    {"a negative length", INPUT(OK_LINE "Content-Length: -1\r\n\r\n"),
     BAD("Content-Length is not a number")},
    {"a length with a plus", INPUT(OK_LINE "Content-Length: +5\r\n\r\nhello"),
     BAD("Content-Length is not a number")},
    {"a hexadecimal length", INPUT(OK_LINE "Content-Length: 0x5\r\n\r\nhello"),
     BAD("Content-Length is not a number")},
    {"a length with a space inside", INPUT(OK_LINE "Content-Length: 1 0\r\n\r\nhello"),
     BAD("Content-Length is not a number")},
    {"the greatest length", INPUT(OK_LINE "Content-Length: 9223372036854775807\r\n\r\nx"),
     CUT(200, "x")},
    {"one more than the greatest length",
     INPUT(OK_LINE "Content-Length: 9223372036854775808\r\n\r\nx"),
     BAD("Content-Length above 2^63-1")},
    {"a length that wraps around to 5",
     INPUT(OK_LINE "Content-Length: 18446744073709551621\r\n\r\nhello"),
     BAD("Content-Length above 2^63-1")},

    /* ---- bodies without a length, section 6.3 ---- */
    {"a body that ends with the connection", INPUT(OK_LINE "X-A: b\r\n\r\nhello"),
     ENDED(200, "hello")},
    {"an empty one of that kind", INPUT("HTTP/1.1 200 OK\r\n\r\n"), ENDED(200, NULL)},
    {"the same with a keep-alive that cannot be",
     INPUT(OK_LINE "Connection: keep-alive\r\n\r\nhello"), ENDED(200, "hello")},
    {"204 has no body", INPUT("HTTP/1.1 204 No Content\r\n\r\nHTTP"), KEPT(204, NULL),
     .rest_bytes = 4},
    {"204 has no body, whatever its fields say",
     INPUT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), KEPT(204, NULL)},
    {"304 has no body, whatever its fields say",
     INPUT("HTTP/1.1 304 Not Modified\r\nContent-Length: 9917\r\n\r\n"), KEPT(304, NULL)},

    /* ---- Transfer-Encoding, sections 6.1 and 7.1 ---- */
    {"two chunks", INPUT(CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
     KEPT(200, "hello world")},
    {"no chunks", INPUT(CHUNKED "0\r\n\r\n"), KEPT(200, NULL)},
    {"sizes in both cases and with zeros in front",
     INPUT(CHUNKED "00A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n"),
     KEPT(200, "01234567890123456789a")},
    {"chunk extensions", INPUT(CHUNKED "2;a=b\r\nok\r\n1 \t; c=\"d e\"\r\n!\r\n0;last\r\n\r\n"),
     KEPT(200, "ok!")},
    {"trailer fields mean nothing",
     INPUT(CHUNKED "2\r\nok\r\n0\r\nContent-Length: 7\r\nConnection: close\r\n"
                   "Location: /x\r\n\r\nHTTP"),
     KEPT(200, "ok"), .rest_bytes = 4},
    {"a bad trailer field", INPUT(CHUNKED "2\r\nok\r\n0\r\nno colon\r\n\r\n"),
     BAD_BODY("ok", "not a field line")},
    {"a folded trailer field", INPUT(CHUNKED "0\r\nX-A: b\r\n c\r\n\r\n"),
     BAD_BODY(NULL, "folded field line")},
    {"CHUNKED in capitals", INPUT(OK_LINE "Transfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
     KEPT(200, "ok")},
    {"no empty line behind the last chunk", INPUT(CHUNKED "2\r\nok\r\n0\r\n"), CUT(200, "ok")},
    {"no last chunk", INPUT(CHUNKED "2\r\nok\r\n"), CUT(200, "ok")},
    {"a chunk that is cut", INPUT(CHUNKED "5\r\nhell"), CUT(200, "hell")},
    {"a chunk without its CR LF", INPUT(CHUNKED "2\r\nok0\r\n\r\n"),
     BAD_BODY("ok", "a chunk is longer than its size says")},
    {"a chunk with LF alone behind it", INPUT(CHUNKED "2\r\nok\n0\r\n\r\n"),
     BAD_BODY("ok", "a chunk is longer than its size says")},
    {"a chunk with CR alone behind it", INPUT(CHUNKED "2\r\nok\r0\r\n\r\n"),
     BAD_BODY("ok", "a chunk is longer than its size says")},
    {"a chunk size line with LF alone", INPUT(CHUNKED "2\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "a line ends without CR")},
    {"an empty chunk size", INPUT(CHUNKED "\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"an extension without a size", INPUT(CHUNKED ";a=b\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"a chunk size that is no number", INPUT(CHUNKED "2g\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"a chunk size with 0x", INPUT(CHUNKED "0x2\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"a negative chunk size", INPUT(CHUNKED "-2\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"a chunk size with a space in front", INPUT(CHUNKED " 2\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"a chunk size with a space behind it", INPUT(CHUNKED "2 \r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunk size is not a hexadecimal number")},
    {"the greatest chunk", INPUT(CHUNKED "7fffffffffffffff\r\nx"), CUT(200, "x")},
    {"one more than the greatest chunk", INPUT(CHUNKED "8000000000000000\r\nx"),
     BAD_BODY(NULL, "chunks above 2^63-1 bytes")},
    {"a chunk size that wraps around to 2", INPUT(CHUNKED "10000000000000002\r\nok\r\n0\r\n\r\n"),
     BAD_BODY(NULL, "chunks above 2^63-1 bytes")},
    {"chunks that are too great together", INPUT(CHUNKED "1\r\nx\r\n7fffffffffffffff\r\nx"),
     BAD_BODY("x", "chunks above 2^63-1 bytes")},
    {"Content-Length together with Transfer-Encoding",
     INPUT(OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     BAD("Content-Length together with Transfer-Encoding")},
    {"Transfer-Encoding together with Content-Length",
     INPUT(OK_LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     BAD("Content-Length together with Transfer-Encoding")},
    {"another transfer coding", INPUT(OK_LINE "Transfer-Encoding: gzip\r\n\r\nx"),
     BAD("Transfer-Encoding is not just chunked")},
    {"another one before chunked", INPUT(OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\nx"),
     BAD("Transfer-Encoding is not just chunked")},
    {"another one behind chunked", INPUT(OK_LINE "Transfer-Encoding: chunked, gzip\r\n\r\nx"),
     BAD("Transfer-Encoding is not just chunked")},
    {"chunked twice",
     INPUT(OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     BAD("Transfer-Encoding is not just chunked")},
    {"identity, which is no transfer coding any more",
     INPUT(OK_LINE "Transfer-Encoding: identity\r\n\r\nx"),
     BAD("Transfer-Encoding is not just chunked")},
    {"an empty Transfer-Encoding", INPUT(OK_LINE "Transfer-Encoding:\r\n\r\nx"),
     BAD("Transfer-Encoding is not just chunked")},
    {"Transfer-Encoding in HTTP/1.0",
     INPUT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     BAD("Transfer-Encoding in HTTP/1.0")},

    /* ---- Content-Encoding: identity was asked for ---- */
    {"identity", INPUT(OK_LINE "Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\nok"),
     KEPT(200, "ok")},
    {"gzip", INPUT(OK_LINE "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
     BAD("Content-Encoding other than identity")},
    {"gzip behind identity",
     INPUT(OK_LINE "Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n\r\nok"),
     BAD("Content-Encoding other than identity")},

    /* ---- persistence, section 9.3 ---- */
    {"close among other options",
     INPUT(OK_LINE "Connection: foo, Close ,bar\r\nContent-Length: 2\r\n\r\nok"),
     CLOSED(200, "ok")},
    {"close in a field of its own",
     INPUT(OK_LINE "Connection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
     CLOSED(200, "ok")},
    {"options that only contain the word close",
     INPUT(OK_LINE "Connection: closed, enclose, \"close\"\r\nContent-Length: 2\r\n\r\nok"),
     KEPT(200, "ok")},
    {"HTTP/1.0 closes", INPUT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), CLOSED(200, "ok")},
    {"HTTP/1.0 with keep-alive",
     INPUT("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"),
     KEPT(200, "ok")},
    {"HTTP/1.0 with both",
     INPUT("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nok"),
     CLOSED(200, "ok")},

    /* ---- interim responses, RFC 9110 section 15.2 ---- */
    {"100 before the response",
     INPUT("HTTP/1.1 100 Continue\r\n\r\n" OK_LINE "Content-Length: 2\r\n\r\nok"), KEPT(200, "ok")},
    {"103, whose fields say nothing about the response",
     INPUT("HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\n"
           "Content-Encoding: br\r\nLocation: /no\r\nConnection: keep-alive\r\n\r\n"
           "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
     CLOSED(200, "ok")},
    {"three of them",
     INPUT("HTTP/1.1 102 \r\n\r\nHTTP/1.1 199 ?\r\nX-A: b\r\n\r\nHTTP/1.1 100\r\n\r\n"
           "HTTP/1.1 204 \r\n\r\n"),
     KEPT(204, NULL)},
    {"nothing behind 100", INPUT("HTTP/1.1 100 Continue\r\n\r\n"), CUT(0, NULL)},
    {"a bad field in 100", INPUT("HTTP/1.1 100 Continue\r\nX A: b\r\n\r\n" OK_LINE "\r\n"),
     BAD("not a field line")},
    {"101", INPUT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
     BAD("the server switches protocols unasked")},

    /* ---- Location ---- */
    {"a redirect", INPUT("HTTP/1.1 302 Found\r\nlocation: \t/a?b \r\nContent-Length: 2\r\n\r\nno"),
     KEPT(302, "no"), .location = "/a?b"},
    {"an empty Location", INPUT("HTTP/1.1 301 \r\nLocation:\r\nContent-Length: 0\r\n\r\n"),
     KEPT(301, NULL), .location = ""},
};

#undef INPUT
#undef OK_LINE
#undef CHUNKED
#undef KEPT
#undef CLOSED
#undef ENDED
#undef CUT
#undef BAD
#undef BAD_BODY

#define HTTP1_VECTORS_COUNT (sizeof(http1_vectors) / sizeof(http1_vectors[0]))

#endif
