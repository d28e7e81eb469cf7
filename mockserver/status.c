#include "status.h"

#include <stddef.h>

struct status_name {
    int status;
    const char *text;
};

static const struct status_name names[] = {
    {200, "OK\n"},
    {400, "Bad Request\n"},
    {404, "Not Found\n"},
    {405, "Method Not Allowed\n"},
    {418, "I'm a teapot\n"},
    {429, "Too Many Requests\n"},
    {431, "Request Header Fields Too Large\n"},
    {500, "Internal Server Error\n"},
    {502, "Bad Gateway\n"},
    {503, "Service Unavailable\n"},
    {504, "Gateway Timeout\n"},
};

const char *status_text(int status)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].status == status) {
            return names[i].text;
        }
    }
    return "As Asked\n";
}
