/** Names of HTTP statuses. */
#ifndef MOCKSERVER_STATUS_H
#define MOCKSERVER_STATUS_H

/** "Not Found\n": a reason phrase and, with the line end, a body to go with it. */
const char *status_text(int status);

#endif
