#ifndef MQTTPROBE_FAKE_H
#define MQTTPROBE_FAKE_H

#include <stdbool.h>

/* What every probe finds from now on; at first nothing. NULL: it does not come back. */
void fake_probe_finds(bool refused, const char *words);
/* How many were started. */
unsigned fake_probes_started(void);

#endif
