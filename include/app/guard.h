#ifndef GUARD_H
#define GUARD_H

/*
 * What keeps the bridge's secrets from others on the same machine, beside the log's mask. Nothing
 * here can fail in a way that should stop the bridge.
 */
struct config;

/* First thing of all: the process leaves no core, and its memory and its environment are closed to
 * other processes of the same user. (Variables that make a library write session keys or payloads
 * to a file are removed where that library is started: http.h, mqtt.h.) */
void guard_process(void);

/* Warns in the log of what the configuration does not keep secret: secrets in files
 * that every user of the machine can read, files that other users can change or replace, whether
 * there is a secret in them or not, and connections to other machines without TLS. `config_file`
 * may be NULL. Once the log is set up, and before guard_environment and log_start: it may wait for
 * what knows the members of a group. */
void guard_warn(const struct config *config, const char *config_file);

/* Wipes the secrets that were given in the environment. Once the configuration is loaded. */
void guard_environment(void);

#endif
