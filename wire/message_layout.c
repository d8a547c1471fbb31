/* One table per structure of message.h, in the header's order; the order and the kinds are the
 * wire's and never change. A field that a later version adds goes to the end of its structure, with
 * that version as its `since`. A test holds that no member was forgotten. */
#include "wire/message_fields.h"

/* --- parts -------------------------------------------------------------------------------------
 */

static const struct wire_field fields_wire_attempt_id[] = {
    U64(wire_attempt_id, job),
    RANGE(wire_attempt_id, task, 1, UINT32_MAX),
    U32(wire_attempt_id, incarnation),
    RANGE(wire_attempt_id, number, 1, UINT32_MAX),
};
LAYOUT(wire_attempt_id, "attempt_id");

static const struct wire_field fields_wire_file[] = {
    WORD(wire_file, path, WIRE_PATH_BYTES_MAX),
    RANGE(wire_file, mode, 0, 0777),
    HASH(wire_file, hash),
    U64(wire_file, bytes),
    {LATER(wire_file, arch, struct slice, TEXT), .max = WIRE_ARCH_BYTES_MAX},
};
LAYOUT_RULED(wire_file, "file", wire_rule_file);

static const struct wire_field fields_wire_ref[] = {
    HASH(wire_ref, hash),
    U64(wire_ref, bytes),
    {LATER(wire_ref, holder, struct wire_key, FIXED), .max = WIRE_FIXED_BYTES},
};
LAYOUT_RULED(wire_ref, "ref", wire_rule_ref);

static const struct wire_field fields_wire_task_file[] = {
    WORD(wire_task_file, path, WIRE_PATH_BYTES_MAX),
    RANGE(wire_task_file, mode, 0, 0777),
    RANGE(wire_task_file, ref, 0, WIRE_REFS_MAX),
};
LAYOUT_RULED(wire_task_file, "task_file", wire_rule_task_file);

static const struct wire_field fields_wire_result_file[] = {
    WORD(wire_result_file, path, WIRE_PATH_BYTES_MAX),
    RANGE(wire_result_file, mode, 0, 0777),
    U64(wire_result_file, bytes),
    BYTES(wire_result_file, inlined, WIRE_INLINE_BYTES_MAX),
    HASH(wire_result_file, hash),
    BOOL(wire_result_file, is_dir),
    ENUM(wire_result_file, fault, WIRE_FILE_FAULTS, wire_file_fault_text),
};
LAYOUT_RULED(wire_result_file, "result_file", wire_rule_result_file);

static const struct wire_field fields_wire_output[] = {
    U64(wire_output, bytes),
    BYTES(wire_output, inlined, WIRE_INLINE_BYTES_MAX),
    HASH(wire_output, hash),
};
LAYOUT_RULED(wire_output, "output", wire_rule_output);

static const struct wire_field fields_wire_result[] = {
    ENUM(wire_result, end, WIRE_ENDS, wire_end_text),
    U32(wire_result, status),
    U64(wire_result, wall_us),
    U64(wire_result, user_us),
    U64(wire_result, sys_us),
    U64(wire_result, peak_kib),
    STRUCT(wire_result, out, wire_output),
    STRUCT(wire_result, err, wire_output),
    TEXT(wire_result, detail, WIRE_REASON_BYTES_MAX),
    ITEMS_SINCE(wire_result, "files", files., wire_result_file, WIRE_TASK_FILES_MAX, 2),
};
LAYOUT_RULED(wire_result, "task_result", wire_rule_result);

/* What a task and its announcement by a client end with. */
#define TASK_FILES(s)                                                                              \
    ITEMS_SINCE(s, "files", files., wire_task_file, WIRE_TASK_FILES_MAX, 2),                       \
        {LATER(s, returns, struct wire_slices, WORDS), .max = WIRE_RETURNS_MAX,                    \
         .item_bytes_max = WIRE_PATH_BYTES_MAX},                                                   \
    {                                                                                              \
        LATER(s, workdir, struct slice, WORD), .max = WIRE_PATH_BYTES_MAX                          \
    }

static const struct wire_field fields_wire_job_spec[] = {
    WORD(wire_job_spec, exec, WIRE_PATH_BYTES_MAX),
    ITEMS(wire_job_spec, "files", files., wire_file, WIRE_FILES_MAX),
    WORDS(wire_job_spec, env, 0, WIRE_ENV_MAX),
    TEXT(wire_job_spec, arch, WIRE_ARCH_BYTES_MAX),
    RANGE(wire_job_spec, cores, 1, WIRE_CORES_MAX),
    U64(wire_job_spec, mem_bytes),
    U64(wire_job_spec, timeout_ms),
    RANGE64(wire_job_spec, lease_ms, 1000, UINT64_MAX),
    U64(wire_job_spec, output_bytes_max),
    BOOL(wire_job_spec, is_streamed),
    RANGE(wire_job_spec, nice, 0, 19),
    U32(wire_job_spec, priority),
    {LATER(wire_job_spec, is_durable, bool, BOOL), .max = 1},
    {LATER(wire_job_spec, is_call, bool, BOOL), .max = 1},
};
LAYOUT_RULED(wire_job_spec, "job_spec", wire_rule_job_spec);

static const struct wire_field fields_wire_ban[] = {
    KEY(wire_ban, key),
    U64(wire_ban, generation),
    BOOL(wire_ban, is_banned),
};
LAYOUT(wire_ban, "ban");

static const struct wire_field fields_wire_older[] = {
    U64(wire_older, generation),
    SECRET(wire_older, secret),
};
LAYOUT(wire_older, "older");

static const struct wire_field fields_wire_member[] = {KEY(wire_member, key)};
LAYOUT(wire_member, "member");

static const struct wire_field fields_wire_pin[] = {
    TEXT(wire_pin, name, WIRE_NAME_BYTES_MAX),
    KEY(wire_pin, key),
};
LAYOUT(wire_pin, "pin");

/* --- peer to peer ------------------------------------------------------------------------------
 */

static const struct wire_field fields_wire_goodbye[] = {
    ENUM(wire_goodbye, reason, WIRE_REASONS, wire_reason_text),
    TEXT(wire_goodbye, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_goodbye, "goodbye");

static const struct wire_field fields_wire_beat[] = {
    U64(wire_beat, token),
    U32(wire_beat, interval_ms),
    RANGE(wire_beat, cores, 0, WIRE_CORES_MAX),
    RANGE(wire_beat, free, 0, WIRE_CORES_MAX),
    U32(wire_beat, n_queued),
    U32(wire_beat, n_running),
    {LATER(wire_beat, is_spare, bool, BOOL), .max = 1},
};
LAYOUT(wire_beat, "beat");

static const struct wire_field fields_wire_beat_ack[] = {U64(wire_beat_ack, token)};
LAYOUT(wire_beat_ack, "beat_ack");

static const struct wire_field fields_wire_peer_entry[] = {
    KEY(wire_peer_entry, key),
    TEXT(wire_peer_entry, name, WIRE_NAME_BYTES_MAX),
    TEXTS(wire_peer_entry, addresses, WIRE_PEER_ADDRESSES_MAX, WIRE_ADDRESS_BYTES_MAX),
    {LATER(wire_peer_entry, version, uint64_t, U64), .max = UINT64_MAX},
    {LATER(wire_peer_entry, is_gone, bool, BOOL), .max = 1},
    {LATER(wire_peer_entry, cores, uint32_t, U32), .max = WIRE_CORES_MAX},
    {LATER(wire_peer_entry, arch, struct slice, TEXT), .max = WIRE_ARCH_BYTES_MAX},
    {LATER(wire_peer_entry, queues, struct wire_slices, TEXTS), .max = WIRE_QUEUES_MAX,
     .item_bytes_max = WIRE_NAME_BYTES_MAX},
};
LAYOUT(wire_peer_entry, "peer_entry");

static const struct wire_field fields_wire_peers[] = {
    ITEMS(wire_peers, "peers", , wire_peer_entry, WIRE_PEERS_MAX),
};
LAYOUT(wire_peers, "peers");

static const struct wire_field fields_wire_peers_sum[] = {
    BYTES(wire_peers_sum, sums, 8 * WIRE_PEERS_SUMS),
};
LAYOUT(wire_peers_sum, "peers_sum");

static const struct wire_field fields_wire_want[] = {
    U32(wire_want, n_tasks),
    U32(wire_want, cores),
};
LAYOUT(wire_want, "want");

static const struct wire_field fields_wire_credit[] = {
    RANGE(wire_credit, n_tasks, 0, WIRE_CREDIT_MAX),
    RANGE(wire_credit, cores, 0, WIRE_CORES_MAX),
};
LAYOUT(wire_credit, "credit");

static const struct wire_field fields_wire_job[] = {
    U64(wire_job, job),
    STRUCT(wire_job, spec, wire_job_spec),
};
LAYOUT(wire_job, "job");

static const struct wire_field fields_wire_job_end[] = {U64(wire_job_end, job)};
LAYOUT(wire_job_end, "job_end");

static const struct wire_field fields_wire_task[] = {
    STRUCT(wire_task, id, wire_attempt_id),
    WORDS(wire_task, argv, 1, WIRE_ARGS_MAX),
    BOOL(wire_task, has_input),
    HASH(wire_task, input),
    U64(wire_task, input_bytes),
    {LATER(wire_task, args, struct slice, BYTES), .max = WIRE_INLINE_BYTES_MAX},
    ITEMS_SINCE(wire_task, "refs", refs., wire_ref, WIRE_REFS_MAX, 2),
    TASK_FILES(wire_task),
};
LAYOUT_RULED(wire_task, "task", wire_rule_task);

static const struct wire_field fields_wire_cancel[] = {STRUCT(wire_cancel, id, wire_attempt_id)};
LAYOUT(wire_cancel, "cancel");

static const struct wire_field fields_wire_started[] = {STRUCT(wire_started, id, wire_attempt_id)};
LAYOUT(wire_started, "started");

static const struct wire_field fields_wire_stream_data[] = {
    STRUCT(wire_stream_data, id, wire_attempt_id),
    STREAM(wire_stream_data, stream),
    U64(wire_stream_data, offset),
    BYTES(wire_stream_data, bytes, WIRE_CHUNK_BYTES_MAX),
};
LAYOUT_RULED(wire_stream_data, "stream", wire_rule_stream_data);

static const struct wire_field fields_wire_stream_ack[] = {
    STRUCT(wire_stream_ack, id, wire_attempt_id),
    STREAM(wire_stream_ack, stream),
    U64(wire_stream_ack, offset),
};
LAYOUT(wire_stream_ack, "stream_ack");

static const struct wire_field fields_wire_attempt_result[] = {
    STRUCT(wire_attempt_result, id, wire_attempt_id),
    STRUCT(wire_attempt_result, result, wire_result),
};
LAYOUT(wire_attempt_result, "result");

static const struct wire_field fields_wire_result_ack[] = {
    STRUCT(wire_result_ack, id, wire_attempt_id),
};
LAYOUT(wire_result_ack, "result_ack");

static const struct wire_field fields_wire_refuse[] = {
    STRUCT(wire_refuse, id, wire_attempt_id),
    ENUM(wire_refuse, refusal, WIRE_REFUSALS, wire_refusal_text),
    TEXT(wire_refuse, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_refuse, "refuse");

static const struct wire_field fields_wire_recall[] = {
    ITEMS(wire_recall, "ids", ids., wire_attempt_id, WIRE_IDS_MAX),
};
LAYOUT(wire_recall, "recall");

static const struct wire_field fields_wire_held_attempt[] = {
    STRUCT(wire_held_attempt, id, wire_attempt_id),
    ENUM(wire_held_attempt, held, WIRE_HELD, wire_held_text),
    {LATER(wire_held_attempt, run_ms, uint64_t, U64), .max = UINT64_MAX},
};
LAYOUT(wire_held_attempt, "held_attempt");

static const struct wire_field fields_wire_inventory[] = {
    ITEMS(wire_inventory, "attempts", , wire_held_attempt, WIRE_IDS_MAX),
    BOOL(wire_inventory, is_last),
};
LAYOUT(wire_inventory, "inventory");

static const struct wire_field fields_wire_keep[] = {
    ITEMS(wire_keep, "ids", ids., wire_attempt_id, WIRE_IDS_MAX),
};
LAYOUT(wire_keep, "keep");

static const struct wire_field fields_wire_drop[] = {
    ITEMS(wire_drop, "ids", ids., wire_attempt_id, WIRE_IDS_MAX),
};
LAYOUT(wire_drop, "drop");

static const struct wire_field fields_wire_blob_want[] = {
    HASH(wire_blob_want, hash),
    U64(wire_blob_want, offset),
    {LATER(wire_blob_want, owner, struct wire_key, FIXED), .max = WIRE_FIXED_BYTES},
    {LATER(wire_blob_want, may_point, bool, BOOL), .max = 1},
};
LAYOUT(wire_blob_want, "blob_want");

static const struct wire_field fields_wire_blob_data[] = {
    HASH(wire_blob_data, hash),
    U64(wire_blob_data, offset),
    U64(wire_blob_data, total),
    BYTES(wire_blob_data, bytes, WIRE_CHUNK_BYTES_MAX),
};
LAYOUT_RULED(wire_blob_data, "blob_data", wire_rule_blob_data);

static const struct wire_field fields_wire_blob_refuse[] = {HASH(wire_blob_refuse, hash)};
LAYOUT(wire_blob_refuse, "blob_refuse");

static const struct wire_field fields_wire_blob_from[] = {HASH(wire_blob_from, hash),
                                                          KEY(wire_blob_from, peer)};
LAYOUT(wire_blob_from, "blob_from");

static const struct wire_field fields_wire_blob_lend[] = {HASH(wire_blob_lend, hash),
                                                          KEY(wire_blob_lend, peer)};
LAYOUT(wire_blob_lend, "blob_lend");

static const struct wire_field fields_wire_blob_had[] = {HASH(wire_blob_had, hash)};
LAYOUT(wire_blob_had, "blob_had");

static const struct wire_field fields_wire_grant[] = {
    STRUCT(wire_grant, id, wire_attempt_id),
    KEY(wire_grant, peer),
};
LAYOUT(wire_grant, "grant");

static const struct wire_field fields_wire_membership[] = {
    U64(wire_membership, generation),
    SECRET(wire_membership, secret),
    ITEMS(wire_membership, "bans", bans., wire_ban, WIRE_BANS_MAX),
    ITEMS(wire_membership, "members", members., wire_member, WIRE_MEMBERS_MAX),
    ITEMS(wire_membership, "olders", olders., wire_older, WIRE_OLDER_MAX),
};
LAYOUT(wire_membership, "membership");

/* --- client and daemon -------------------------------------------------------------------------
 */

static const struct wire_field fields_wire_client_hello[] = {
    U32(wire_client_hello, protocol),
    TEXT(wire_client_hello, version, WIRE_VERSION_BYTES_MAX),
};
LAYOUT(wire_client_hello, "client_hello");

static const struct wire_field fields_wire_daemon_hello[] = {
    U32(wire_daemon_hello, protocol),
    TEXT(wire_daemon_hello, version, WIRE_VERSION_BYTES_MAX),
    KEY(wire_daemon_hello, key),
    TEXT(wire_daemon_hello, name, WIRE_NAME_BYTES_MAX),
    RANGE(wire_daemon_hello, cores, 0, WIRE_CORES_MAX),
};
LAYOUT(wire_daemon_hello, "daemon_hello");

static const struct wire_field fields_wire_job_ref[] = {U64(wire_job_ref, job)};
LAYOUT(wire_job_ref, "job_ref");

static const struct wire_field fields_wire_submit[] = {
    STRUCT(wire_submit, spec, wire_job_spec),
    TEXT(wire_submit, name, WIRE_NAME_BYTES_MAX),
    U32(wire_submit, jobs_max),
    U32(wire_submit, runs_max),
    BOOL(wire_submit, is_once),
    BOOL(wire_submit, is_detached),
    BOOL(wire_submit, may_speculate),
    U32(wire_submit, require_peers),
    TEXTS(wire_submit, on, WIRE_FILTER_MAX, WIRE_NAME_BYTES_MAX),
    TEXTS(wire_submit, except, WIRE_FILTER_MAX, WIRE_NAME_BYTES_MAX),
    ITEMS_SINCE(wire_submit, "after", after., wire_job_ref, WIRE_AFTER_MAX, 2),
    {LATER(wire_submit, is_after_any, bool, BOOL), .max = 1},
    {LATER(wire_submit, is_single, bool, BOOL), .max = 1},
    {LATER(wire_submit, is_shell, bool, BOOL), .max = 1},
};
LAYOUT(wire_submit, "submit");

static const struct wire_field fields_wire_accepted[] = {U64(wire_accepted, job),
                                                         U64(wire_accepted, tasks_max)};
LAYOUT(wire_accepted, "accepted");

static const struct wire_field fields_wire_add_task[] = {
    U64(wire_add_task, job),
    RANGE(wire_add_task, task, 1, UINT32_MAX),
    WORDS(wire_add_task, argv, 1, WIRE_ARGS_MAX),
    BOOL(wire_add_task, has_input),
    HASH(wire_add_task, input),
    U64(wire_add_task, input_bytes),
    {LATER(wire_add_task, args, struct slice, BYTES), .max = WIRE_INLINE_BYTES_MAX},
    ITEMS_SINCE(wire_add_task, "refs", refs., wire_ref, WIRE_REFS_MAX, 2),
    {LATER(wire_add_task, keeps_result, bool, BOOL), .max = 1},
    TASK_FILES(wire_add_task),
    {LATER(wire_add_task, values, struct wire_slices, WORDS), .max = WIRE_ARGS_MAX,
     .item_bytes_max = WIRE_ARG_BYTES_MAX - 1},
};
LAYOUT_RULED(wire_add_task, "add_task", wire_rule_add_task);

static const struct wire_field fields_wire_submit_end[] = {U64(wire_submit_end, job),
                                                           U32(wire_submit_end, n_tasks)};
LAYOUT(wire_submit_end, "submit_end");

static const struct wire_field fields_wire_task_credit[] = {U64(wire_task_credit, job),
                                                            U64(wire_task_credit, tasks_max)};
LAYOUT(wire_task_credit, "task_credit");

static const struct wire_field fields_wire_client_stream[] = {
    U64(wire_client_stream, job),
    RANGE(wire_client_stream, task, 1, UINT32_MAX),
    STREAM(wire_client_stream, stream),
    U64(wire_client_stream, offset),
    BYTES(wire_client_stream, bytes, WIRE_CHUNK_BYTES_MAX),
};
LAYOUT_RULED(wire_client_stream, "client_stream", wire_rule_client_stream);

static const struct wire_field fields_wire_client_stream_ack[] = {
    U64(wire_client_stream_ack, job),
    RANGE(wire_client_stream_ack, task, 1, UINT32_MAX),
    STREAM(wire_client_stream_ack, stream),
    U64(wire_client_stream_ack, offset),
};
LAYOUT(wire_client_stream_ack, "client_stream_ack");

static const struct wire_field fields_wire_done[] = {
    U64(wire_done, job),
    RANGE(wire_done, task, 1, UINT32_MAX),
    U32(wire_done, attempt),
    U32(wire_done, n_runs),
    KEY(wire_done, peer),
    TEXT(wire_done, peer_name, WIRE_NAME_BYTES_MAX),
    ENUM(wire_done, refusal, WIRE_REFUSALS, wire_refusal_text),
    STRUCT(wire_done, result, wire_result),
    {LATER(wire_done, is_away, bool, BOOL), .max = 1},
};
LAYOUT(wire_done, "done");

static const struct wire_field fields_wire_done_ack[] = {
    U64(wire_done_ack, job),
    U64(wire_done_ack, n_done),
};
LAYOUT(wire_done_ack, "done_ack");

static const struct wire_field fields_wire_job_done[] = {
    U64(wire_job_done, job),
    U32(wire_job_done, n_tasks),
    U32(wire_job_done, n_succeeded),
    U32(wire_job_done, n_failed),
    U32(wire_job_done, n_lost),
    {LATER(wire_job_done, text, struct slice, TEXT), .max = WIRE_REASON_BYTES_MAX},
    {LATER(wire_job_done, is_cancelled, bool, BOOL), .max = 1},
    {LATER(wire_job_done, is_running, bool, BOOL), .max = 1},
};
LAYOUT(wire_job_done, "job_done");

static const struct wire_field fields_wire_notice[] = {
    U64(wire_notice, job),
    TEXT(wire_notice, text, WIRE_REASON_BYTES_MAX),
    {LATER(wire_notice, is_progress, bool, BOOL), .max = 1},
};
LAYOUT(wire_notice, "notice");

static const struct wire_field fields_wire_job_cancel[] = {U64(wire_job_cancel, job)};
LAYOUT(wire_job_cancel, "job_cancel");

static const struct wire_field fields_wire_peers_query[] = {BOOL(wire_peers_query, is_watch)};
LAYOUT(wire_peers_query, "peers_query");

static const struct wire_field fields_wire_peer_row[] = {
    KEY(wire_peer_row, key),
    TEXT(wire_peer_row, name, WIRE_NAME_BYTES_MAX),
    TEXT(wire_peer_row, arch, WIRE_ARCH_BYTES_MAX),
    TEXT(wire_peer_row, os, WIRE_OS_BYTES_MAX),
    TEXT(wire_peer_row, version, WIRE_VERSION_BYTES_MAX),
    TEXT(wire_peer_row, address, WIRE_ADDRESS_BYTES_MAX),
    RANGE(wire_peer_row, cores, 0, WIRE_CORES_MAX),
    RANGE(wire_peer_row, free, 0, WIRE_CORES_MAX),
    ENUM(wire_peer_row, state, WIRE_PEER_STATES, wire_peer_state_text),
    BOOL(wire_peer_row, is_local),
    BOOL(wire_peer_row, has_rtt),
    U64(wire_peer_row, rtt_us),
    TEXT(wire_peer_row, detail, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_peer_row, "peer_row");

static const struct wire_field fields_wire_peers_list[] = {
    ITEMS(wire_peers_list, "peers", , wire_peer_row, WIRE_LIST_MAX),
};
LAYOUT(wire_peers_list, "peers_list");

LAYOUT_EMPTY(wire_stats_query, "stats_query");

static const struct wire_field fields_wire_stats_row[] = {
    KEY(wire_stats_row, key),       TEXT(wire_stats_row, name, WIRE_NAME_BYTES_MAX),
    BOOL(wire_stats_row, is_local), U64(wire_stats_row, n_tasks),
    U64(wire_stats_row, n_failed),  U64(wire_stats_row, n_lost),
    U64(wire_stats_row, wall_us),   U64(wire_stats_row, cpu_us),
};
LAYOUT(wire_stats_row, "stats_row");

static const struct wire_field fields_wire_stats_list[] = {
    ITEMS(wire_stats_list, "rows", , wire_stats_row, WIRE_LIST_MAX),
    U64(wire_stats_list, uptime_us), U32(wire_stats_list, n_running), U32(wire_stats_list, cores)};
LAYOUT(wire_stats_list, "stats_list");

LAYOUT_EMPTY(wire_jobs_query, "jobs_query");

static const struct wire_field fields_wire_job_row[] = {
    U64(wire_job_row, job),
    TEXT(wire_job_row, name, WIRE_NAME_BYTES_MAX),
    U32(wire_job_row, uid),
    BOOL(wire_job_row, is_detached),
    BOOL(wire_job_row, is_complete),
    U32(wire_job_row, n_tasks),
    U32(wire_job_row, n_waiting),
    U32(wire_job_row, n_placed),
    U32(wire_job_row, n_succeeded),
    U32(wire_job_row, n_failed),
    U64(wire_job_row, age_us),
    {LATER(wire_job_row, state, uint32_t, ENUM), .max = (0 WIRE_JOB_STATES(LIST_ONE)) - 1,
     .text = wire_job_state_text},
    {LATER(wire_job_row, text, struct slice, TEXT), .max = WIRE_REASON_BYTES_MAX},
};
LAYOUT(wire_job_row, "job_row");

static const struct wire_field fields_wire_jobs_list[] = {
    ITEMS(wire_jobs_list, "jobs", , wire_job_row, WIRE_LIST_MAX),
};
LAYOUT(wire_jobs_list, "jobs_list");

static const struct wire_field fields_wire_set_cores[] = {
    RANGE(wire_set_cores, cores, 0, WIRE_CORES_MAX),
};
LAYOUT(wire_set_cores, "set_cores");

LAYOUT_EMPTY(wire_ok, "ok");

static const struct wire_field fields_wire_error_reply[] = {
    ENUM(wire_error_reply, error, WIRE_ERRORS, wire_error_text),
    TEXT(wire_error_reply, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_error_reply, "error");

static const struct wire_field fields_wire_job_kept[] = {U64(wire_job_kept, job),
                                                         U32(wire_job_kept, n_tasks)};
LAYOUT(wire_job_kept, "job_kept");

static const struct wire_field fields_wire_put[] = {
    U64(wire_put, id),
    HASH(wire_put, hash),
    U64(wire_put, bytes),
};
LAYOUT(wire_put, "put");

static const struct wire_field fields_wire_put_done[] = {
    U64(wire_put_done, id),
    HASH(wire_put_done, hash),
    U64(wire_put_done, bytes),
    ENUM(wire_put_done, error, WIRE_ERRORS, wire_error_text),
    TEXT(wire_put_done, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_put_done, "put_done");

static const struct wire_field fields_wire_task_cancel[] = {U64(wire_task_cancel, job),
                                                            U32(wire_task_cancel, task)};
LAYOUT(wire_task_cancel, "task_cancel");

static const struct wire_field fields_wire_release[] = {HASH(wire_release, hash)};
LAYOUT(wire_release, "release");

static const struct wire_field fields_wire_get[] = {HASH(wire_get, hash)};
LAYOUT(wire_get, "get");

static const struct wire_field fields_wire_got[] = {
    HASH(wire_got, hash),
    U64(wire_got, bytes),
    ENUM(wire_got, error, WIRE_ERRORS, wire_error_text),
    TEXT(wire_got, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_got, "got");

static const struct wire_field fields_wire_gone[] = {HASH(wire_gone, hash)};
LAYOUT(wire_gone, "gone");

LAYOUT_EMPTY(wire_lock, "lock");

LAYOUT_EMPTY(wire_unlock, "unlock");

static const struct wire_field fields_wire_invite[] = {U32(wire_invite, valid_s)};
LAYOUT(wire_invite, "invite");

static const struct wire_field fields_wire_invitation[] = {
    KEY(wire_invitation, key),
    TOKEN(wire_invitation, token),
    TEXTS(wire_invitation, addresses, WIRE_PEER_ADDRESSES_MAX, WIRE_ADDRESS_BYTES_MAX),
    U32(wire_invitation, valid_s),
};
LAYOUT(wire_invitation, "invitation");

static const struct wire_field fields_wire_join[] = {
    KEY(wire_join, key),
    TOKEN(wire_join, token),
    TEXTS(wire_join, addresses, WIRE_PEER_ADDRESSES_MAX, WIRE_ADDRESS_BYTES_MAX),
};
LAYOUT(wire_join, "join");

static const struct wire_field fields_wire_trust[] = {
    TEXT(wire_trust, name, WIRE_NAME_BYTES_MAX),
    KEY(wire_trust, key),
    BOOL(wire_trust, is_removed),
};
LAYOUT_RULED(wire_trust, "trust", wire_rule_trust);

static const struct wire_field fields_wire_ban_key[] = {
    KEY(wire_ban_key, key),
    BOOL(wire_ban_key, is_removed),
};
LAYOUT(wire_ban_key, "ban");

LAYOUT_EMPTY(wire_trust_query, "trust_query");

static const struct wire_field fields_wire_trust_list[] = {
    BOOL(wire_trust_list, is_locked),
    U64(wire_trust_list, generation),
    U32(wire_trust_list, n_members),
    ITEMS(wire_trust_list, "pins", pins., wire_pin, WIRE_PINS_MAX),
    ITEMS(wire_trust_list, "bans", bans., wire_ban, WIRE_BANS_MAX),
};
LAYOUT(wire_trust_list, "trust_list");

static const struct wire_field fields_wire_attach[] = {
    U64(wire_attach, job),
    U32(wire_attach, task),
    BOOL(wire_attach, is_wait),
    BOOL(wire_attach, wants_tasks),
};
LAYOUT(wire_attach, "attach");

static const struct wire_field fields_wire_attached[] = {
    U64(wire_attached, job),       TEXT(wire_attached, name, WIRE_NAME_BYTES_MAX),
    U32(wire_attached, n_tasks),   BOOL(wire_attached, is_single),
    BOOL(wire_attached, is_shell),
};
LAYOUT(wire_attached, "attached");

static const struct wire_field fields_wire_kept_task[] = {
    U64(wire_kept_task, job),
    RANGE(wire_kept_task, task, 1, UINT32_MAX),
    WORDS(wire_kept_task, argv, 1, WIRE_ARGS_MAX),
    WORDS(wire_kept_task, values, 0, WIRE_ARGS_MAX),
    {LATER(wire_kept_task, returns, struct wire_slices, WORDS), .max = WIRE_RETURNS_MAX,
     .item_bytes_max = WIRE_PATH_BYTES_MAX},
};
LAYOUT_RULED(wire_kept_task, "kept_task", wire_rule_kept_task);

static const struct wire_field fields_wire_job_forget[] = {U64(wire_job_forget, job)};
LAYOUT(wire_job_forget, "job_forget");
#include "wire/message_layout_queue.h"

/* --- by number ---------------------------------------------------------------------------------
 */

#define BY_NUMBER(name, number, type, member) [number] = &layout_##type,
static const struct wire_layout *const layouts[] = {WIRE_MESSAGES(BY_NUMBER)};

#define AT_ONE_PLACE(name, number, type, member)                                                   \
    static_assert(offsetof(struct wire_message, member) == offsetof(struct wire_message, goodbye), \
                  "every message begins where goodbye does");
WIRE_MESSAGES(AT_ONE_PLACE)

const struct wire_layout *wire_layout_of(uint32_t type)
{
    return type < ARRAY_LEN(layouts) ? layouts[type] : NULL;
}

uint32_t wire_layout_n_mandatory(const struct wire_layout *layout)
{
    uint32_t n = layout->n_fields;
    while (n > 0 && layout->fields[n - 1].since > 1) {
        n--;
    }
    return n;
}
