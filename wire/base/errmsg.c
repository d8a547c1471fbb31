#include "wire/base/errmsg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/ensure.h"

void errmsg_set(struct errmsg *err, const char *format, ...)
{
    if (err == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    IGNORE(vsnprintf(err->text, sizeof(err->text), format, args)); /* may be cut */
    va_end(args);
}

void errmsg_wrap(struct errmsg *err, const char *format, ...)
{
    if (err == NULL) {
        return;
    }
    struct errmsg old = *err;
    va_list args;
    va_start(args, format);
    IGNORE(vsnprintf(err->text, sizeof(err->text), format, args)); /* may be cut */
    va_end(args);
    size_t n = strlen(err->text);
    IGNORE(snprintf(err->text + n, sizeof(err->text) - n, ": %s", old.text)); /* may be cut */
}
