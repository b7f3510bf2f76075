#ifndef HTTPPROXY_H
#define HTTPPROXY_H

/*
 * The proxy settings of the environment, read once as curl reads them, before the environment is
 * cleaned for paho (which would send plain MQTT through an HTTP proxy and knows no exceptions).
 */
void httpproxy_read(void);
void httpproxy_forget(void);

/* The proxy for a URL of the http or https scheme; "" for none. Borrowed until httpproxy_forget. */
const char *httpproxy_for(const char *url);
/* The hosts to be reached directly, as in no_proxy; "" for none. */
const char *httpproxy_exceptions(void);

#endif
