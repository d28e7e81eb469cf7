#include "curl_loop.h"

#include "clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

_Static_assert(offsetof(struct curl_place, transfer) == 0, "curl_loop_reap relies on it");

/* ---- start ---- */

/* The transfer really begins in libcurl's next turn. */
static enum transfer_step place_ask(struct curl_place *place)
{
    struct curl_loop *loop = place->loop;

    place->in_multi = curl_multi_add_handle(loop->multi, place->transfer.easy) == CURLM_OK;
    if (!place->in_multi) {
        curl_loop_fail(loop, -ENOMEM);
    }
    return TRANSFER_MORE;
}

/* The handle is ours again: to be changed, or run once more. */
static void place_leave(struct curl_place *place)
{
    if (place->in_multi) {
        (void)curl_multi_remove_handle(place->loop->multi, place->transfer.easy);
        place->in_multi = false;
    }
}

/* ---- advance ---- */

static enum transfer_step place_save(struct curl_place *place)
{
    const struct curl_loop *loop = place->loop;

    return loop->save != NULL ? loop->save(place) : curl_transfer_save(&place->transfer);
}

/* The next request, or none: then the place is idle for good. */
static enum transfer_step place_next(struct curl_place *place)
{
    struct curl_loop *loop = place->loop;
    const struct download_job *job = loop->run.job;

    while (loop->next < job->count && curl_loop_goes_on(loop)) {
        size_t index = loop->next++;
        if (loop->cancelled) {
            transfer_cancel_unstarted(job, loop->run.results, index, clock_now_ns());
        } else if (curl_transfer_start(&place->transfer, index) == TRANSFER_AGAIN) {
            return TRANSFER_AGAIN;
        }
    }
    loop->active--;
    return TRANSFER_MORE;
}

void curl_place_advance(struct curl_place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        switch (step) {
        case TRANSFER_AGAIN:
            step = place_ask(place);
            break;
        case TRANSFER_SAVE:
            step = place_save(place);
            break;
        default:
            step = place_next(place);
            break;
        }
    }
}

void curl_loop_start(struct curl_loop *loop)
{
    loop->active = loop->place_count;
    for (size_t i = 0; i < loop->place_count; i++) {
        curl_place_advance(&loop->places[i], TRANSFER_DONE);
    }
}

/* ---- finish ---- */

static void place_finish(struct curl_place *place, CURLcode code)
{
    place_leave(place);
    curl_place_advance(place, curl_transfer_finish(&place->transfer, code));
}

void curl_loop_reap(struct curl_loop *loop)
{
    const CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        char *private = NULL;
        CURLcode code = message->data.result; /* the message dies with remove_handle */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        place_finish((struct curl_place *)(void *)private, code);
    }
}

void curl_loop_poll_cancel(struct curl_loop *loop)
{
    if (loop->cancelled || !transfer_cancelled(loop->run.job)) {
        return;
    }
    loop->cancelled = true;
    for (size_t i = 0; i < loop->place_count; i++) {
        if (loop->places[i].in_multi) {
            place_finish(&loop->places[i], CURLE_ABORTED_BY_CALLBACK);
        }
    }
}

/* ---- set up and torn down ---- */

static int multi_init(struct curl_loop *loop)
{
    loop->multi = curl_multi_init();
    if (loop->multi == NULL) {
        return -ENOMEM;
    }
    /* The size of the cache, not a ceiling: a place's connection has to survive its idle time. */
    return curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)loop->place_count) == CURLM_OK
               ? 0
               : -ENOMEM;
}

static int places_init(struct curl_loop *loop)
{
    loop->places = calloc(loop->place_count, sizeof loop->places[0]);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < loop->place_count; i++) {
        struct curl_place *place = &loop->places[i];
        place->loop = loop;
        int result = curl_transfer_init(&place->transfer, &loop->run);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int curl_loop_init(struct curl_loop *loop, const struct download_job *job,
                   struct transfer_result *results)
{
    loop->place_count = curl_run_places(job);
    int result = curl_run_init(&loop->run, job, results);
    if (result == 0) {
        result = multi_init(loop);
    }
    return result == 0 ? places_init(loop) : result;
}

void curl_loop_stop(struct curl_loop *loop)
{
    curl_loop_fail(loop, -ECANCELED); /* nobody starts anything from here on */
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        place_leave(&loop->places[i]);
    }
    (void)curl_multi_cleanup(loop->multi);
    loop->multi = NULL;
}

void curl_loop_release(struct curl_loop *loop)
{
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        curl_transfer_release(&loop->places[i].transfer);
    }
    free(loop->places);
    curl_run_release(&loop->run);
}
