/** What the DNS server has counted, as /stats tells it. */
#ifndef MOCKSERVER_DNS_STATS_H
#define MOCKSERVER_DNS_STATS_H

#include "dns_service.h"

/** JSON, to be given to free(); NULL when memory is short. */
char *dns_stats_text(const struct dns_service *service);

#endif
