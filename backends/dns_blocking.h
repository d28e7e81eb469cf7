/**
 * The wait of the models that block: poll(2) over the sockets of one channel. dns_sequential does
 * it in the only thread, dns_threads in every thread; who waits is what they differ in.
 *
 * Threads: a channel belongs to one thread.
 */
#ifndef BENCH_DNS_BLOCKING_H
#define BENCH_DNS_BLOCKING_H

#include "dns_channel.h"

/**
 * Block until a socket of the channel is ready, its time has come or the caller wants to stop.
 * @return the step that follows; TRANSFER_MORE: wait again
 */
enum transfer_step dns_blocking_wait(struct dns_channel *channel);

#endif
