/* Stands in for wire.c where the MQTT library does its system calls itself. */
#include "wire.h"

void wire_cork(void)
{
}

void wire_uncork(void)
{
}

void wire_hurry(bool hurry)
{
    (void)hurry;
}

void wire_rest(int ms)
{
    (void)ms;
}

void wire_after_reading(void (*call)(void *ctx), void *ctx)
{
    call(ctx);
}

void wire_forget(const void *ctx)
{
    (void)ctx;
}

bool wire_naps(void)
{
    return true;
}
