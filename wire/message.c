#include "wire/message.h"

#include <assert.h>

#include "wire/base/ensure.h"

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

const char *wire_message_name(uint32_t type)
{
#define NAME(name, number, type, member) [number] = #member,
    static const char *const names[] = {WIRE_MESSAGES(NAME)};
    const char *name = type < ARRAY_LEN(names) ? names[type] : NULL;
    return name != NULL ? name : "unknown";
}
