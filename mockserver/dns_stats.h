/**
 * What the DNS server has counted, as /stats tells it: under the names that the server of flags
 * has for the same, and
 *
 * requests      queries that were understood: by_transport (udp, tcp) tells them apart, and they
 *               are the sum of by_outcome, of in_flight, and of what client_aborts left unanswered
 * by_outcome    enum dns_outcome: of answers sent, and of queries dropped
 * by_rcode      of all answers, those to bad_requests too
 * accepted ...  TCP connections
 * bad_requests  messages that are no query, or none that is supported
 * lost          datagrams that found the socket's buffer full: nobody has seen them
 * unsent        answers that the socket did not take
 * keys          attempts by name ("if.dev"; of other types than A "if.dev AAAA", "if.dev TYPE16")
 */
#ifndef MOCKSERVER_DNS_STATS_H
#define MOCKSERVER_DNS_STATS_H

#include "dns_service.h"

/** In the loop that answers: with many keys others wait for it. JSON, to be given to free(); NULL
 * when memory is short. */
char *dns_stats_text(const struct dns_service *service);

#endif
