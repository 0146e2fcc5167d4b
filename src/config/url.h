/* url: what an address must look like. Each returns NULL when it is fine, else what is wrong with
 * it, without a word of the address itself (there may be a password in it). */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H
#include <stdbool.h>

const char *url_check_base(const char *);	/* http: for loopback and private hosts only */
const char *url_check_hook(const char *);	/* the same, a query allowed */
const char *url_check_proxy(const char *);	/* http, https, socks5h; a host and port */
const char *url_check_listen(const char *);	/* numeric address or localhost, and port */
bool url_listens_on_loopback(const char *listen);
#endif
