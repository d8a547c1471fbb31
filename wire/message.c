#include "wire/message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/base/ensure.h"
#include "wire/base/text.h"

/* Values count up from 0 without gaps, so that a value is its text's index. */
#define TEXT(name, value, text) [value] = (text),
#define ONE(name, value, text)  +1
#define TEXT_OF(texts, value)   ((value) < ARRAY_LEN(texts) ? (texts)[value] : "unknown")

static const char *const reason_texts[] = {WIRE_REASONS(TEXT)};
static_assert(ARRAY_LEN(reason_texts) == 0 WIRE_REASONS(ONE), "reasons have no gap");
static const char *const end_texts[] = {WIRE_ENDS(TEXT)};
static_assert(ARRAY_LEN(end_texts) == 0 WIRE_ENDS(ONE), "ends have no gap");
static const char *const refusal_texts[] = {WIRE_REFUSALS(TEXT)};
static_assert(ARRAY_LEN(refusal_texts) == 0 WIRE_REFUSALS(ONE), "refusals have no gap");
static const char *const peer_state_texts[] = {WIRE_PEER_STATES(TEXT)};
static_assert(ARRAY_LEN(peer_state_texts) == 0 WIRE_PEER_STATES(ONE), "peer states have no gap");
static const char *const held_texts[] = {WIRE_HELD(TEXT)};
static_assert(ARRAY_LEN(held_texts) == 0 WIRE_HELD(ONE), "held states have no gap");
static const char *const error_texts[] = {WIRE_ERRORS(TEXT)};
static_assert(ARRAY_LEN(error_texts) == 0 WIRE_ERRORS(ONE), "errors have no gap");

static const char *const job_state_texts[] = {WIRE_JOB_STATES(TEXT)};
static_assert(ARRAY_LEN(job_state_texts) == 0 WIRE_JOB_STATES(ONE), "job states have no gap");
static const char *const call_texts[] = {WIRE_CALL_STATUSES(TEXT)};
static_assert(ARRAY_LEN(call_texts) == 0 WIRE_CALL_STATUSES(ONE), "call statuses have no gap");
static const char *const fault_texts[] = {WIRE_FILE_FAULTS(TEXT)};
static_assert(ARRAY_LEN(fault_texts) == 0 WIRE_FILE_FAULTS(ONE), "files' faults have no gap");

static char *put_decimal(char *to, uint32_t value)
{
    char digits[10];
    unsigned n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0) {
        *to++ = digits[--n];
    }
    return to;
}

const char *wire_job_text(uint64_t job, char to[static WIRE_JOB_TEXT_BYTES])
{
    static_assert(10 + 1 + 10 + 1 <= WIRE_JOB_TEXT_BYTES, "the largest fits");
    char *end = put_decimal(to, (uint32_t)(job >> 32));
    *end++ = '.';
    *put_decimal(end, (uint32_t)(job & UINT32_MAX)) = '\0';
    return to;
}

int wire_job_parse(const char *text, uint64_t *ret_job)
{
    char first[WIRE_JOB_TEXT_BYTES];
    const char *dot = strchr(text, '.');
    uint64_t incarnation, count;
    if (dot == NULL || (size_t)(dot - text) >= sizeof(first)) {
        return -EINVAL;
    }
    memcpy(first, text, (size_t)(dot - text));
    first[dot - text] = '\0';
    if (text_parse_u64(first, UINT32_MAX, &incarnation) < 0 ||
        text_parse_u64(dot + 1, UINT32_MAX, &count) < 0) {
        return -EINVAL;
    }
    *ret_job = incarnation << 32 | count;
    return 0;
}

const char *wire_reason_text(uint32_t reason)
{
    return TEXT_OF(reason_texts, reason);
}

const char *wire_end_text(uint32_t end)
{
    return TEXT_OF(end_texts, end);
}

const char *wire_refusal_text(uint32_t refusal)
{
    return TEXT_OF(refusal_texts, refusal);
}

const char *wire_peer_state_text(uint32_t state)
{
    return TEXT_OF(peer_state_texts, state);
}

const char *wire_held_text(uint32_t held)
{
    return TEXT_OF(held_texts, held);
}

const char *wire_error_text(uint32_t error)
{
    return TEXT_OF(error_texts, error);
}

const char *wire_job_state_text(uint32_t state)
{
    return TEXT_OF(job_state_texts, state);
}

const char *wire_call_status_text(uint32_t status)
{
    return TEXT_OF(call_texts, status);
}

const char *wire_file_fault_text(uint32_t fault)
{
    return TEXT_OF(fault_texts, fault);
}

const char *wire_message_name(uint32_t type)
{
#define NAME(name, number, type, member) [number] = #member,
    static const char *const names[] = {WIRE_MESSAGES(NAME)};
    const char *name = type < ARRAY_LEN(names) ? names[type] : NULL;
    return name != NULL ? name : "unknown";
}
