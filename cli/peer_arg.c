#include "cli/peer_arg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/text.h"
#include "wire/key.h"

#define SHOWN_MAX 5 /* of those that may be meant: more do not fit a line */

enum match { MATCH_NONE, MATCH_PREFIX, MATCH_WHOLE };

static size_t n_id_characters(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text != '-';
    }
    return n;
}

static enum match match(const struct cmd_candidate *candidate, const char *text)
{
    struct slice wanted = slice_str(text);
    bool is_id = wire_id_matches(&candidate->key, text);
    if (wanted.n == 0) {
        return MATCH_NONE;
    }
    if (slice_eq(candidate->name, wanted) ||
        (is_id && n_id_characters(text) == WIRE_ID_TEXT_BYTES - 2)) {
        return MATCH_WHOLE;
    }
    bool is_name =
        candidate->name.n > wanted.n && memcmp(candidate->name.p, wanted.p, wanted.n) == 0;
    return is_id || is_name ? MATCH_PREFIX : MATCH_NONE;
}

const char *cmd_candidate_text(const struct cmd_candidate *candidate,
                               char to[static CMD_CANDIDATE_TEXT_BYTES])
{
    char id[WIRE_ID_TEXT_BYTES];
    char name[CMD_CANDIDATE_TEXT_BYTES - WIRE_ID_TEXT_BYTES - 1];
    text_printable(candidate->name, name, sizeof(name));
    snprintf(to, CMD_CANDIDATE_TEXT_BYTES, "%s%s%s", name, candidate->name.n > 0 ? " " : "",
             wire_id_text(&candidate->key, id));
    return to;
}

static int refuse_several(const struct cmd_candidate *candidates, uint32_t n, const char *text,
                          enum match how, struct errmsg *err)
{
    char list[SHOWN_MAX * (CMD_CANDIDATE_TEXT_BYTES + 2)] = "";
    size_t n_list = 0;
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (match(&candidates[i], text) != how) {
            continue;
        }
        if (++n_found <= SHOWN_MAX) {
            char shown[CMD_CANDIDATE_TEXT_BYTES];
            n_list += (size_t)snprintf(list + n_list, sizeof(list) - n_list, "%s%s",
                                       n_found == 1 ? "" : ", ",
                                       cmd_candidate_text(&candidates[i], shown));
        }
    }
    char shown[80];
    errmsg_set(err, "'%s' may be one of %u, give the id or the whole key: %s%s",
               text_printable(slice_str(text), shown, sizeof(shown)), (unsigned)n_found, list,
               n_found > SHOWN_MAX ? ", ..." : "");
    return -EEXIST;
}

/* The first that matches so, and whether another key does too. */
static uint32_t first(const struct cmd_candidate *candidates, uint32_t n, const char *text,
                      enum match how, bool *ret_is_alone)
{
    uint32_t at = n;
    *ret_is_alone = true;
    for (uint32_t i = 0; i < n; i++) {
        if (match(&candidates[i], text) != how) {
            continue;
        }
        if (at == n) {
            at = i;
        } else if (!wire_key_eq(&candidates[i].key, &candidates[at].key)) {
            *ret_is_alone = false;
        }
    }
    return at;
}

int cmd_peer_find(const struct cmd_candidate *candidates, uint32_t n, const char *text,
                  struct wire_key *ret_key, uint32_t *ret_at, struct errmsg *err)
{
    struct wire_key key;
    if (wire_key_parse(text, &key) == 0) {
        uint32_t at = 0;
        while (at < n && !wire_key_eq(&candidates[at].key, &key)) {
            at++;
        }
        *ret_key = key;
        *ret_at = at;
        return 0;
    }
    static const enum match ways[] = {MATCH_WHOLE, MATCH_PREFIX};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        bool is_alone;
        uint32_t at = first(candidates, n, text, ways[i], &is_alone);
        if (at < n && !is_alone) {
            return refuse_several(candidates, n, text, ways[i], err);
        }
        if (at < n) {
            *ret_key = candidates[at].key;
            *ret_at = at;
            return 0;
        }
    }
    char shown[80];
    errmsg_set(err,
               "there is no peer '%s' (see `mesh peers`); one out of sight is named by its "
               "whole key of 64 digits",
               text_printable(slice_str(text), shown, sizeof(shown)));
    return -ENOENT;
}
