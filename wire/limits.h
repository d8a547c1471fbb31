/* Every maximum of the protocol, with its unit and its reason. A peer that goes beyond one is told
 * so and disconnected; nothing is allocated before its size met its limit. */
#ifndef MESH_WIRE_LIMITS_H
#define MESH_WIRE_LIMITS_H

/* The protocol versions this build speaks. */
#define WIRE_VERSION_MIN 1u
#define WIRE_VERSION_MAX 2u
/* The first that knows calls of functions, blobs that tasks read, files for one architecture, and
 * files of tasks. */
#define WIRE_VERSION_CALLS 2u

/* --- frames ------------------------------------------------------------------------------------
 */

/* A frame before the sender is proved: a hello is some 400 bytes. */
#define WIRE_HELLO_BYTES_MAX 2048u
/* The body of any later frame. The largest message is a task with WIRE_ARGV_BYTES_MAX of
 * arguments. */
#define WIRE_BODY_BYTES_MAX (2u << 20)
/* A batch is closed once it holds this much, so that one frame does not occupy a slow link for
 * long: 64 KiB are half a second of 1 Mbit/s. */
#define WIRE_BATCH_BYTES        (64u << 10)
#define WIRE_BATCH_MESSAGES_MAX 4096u
/* msgpack nesting: body array, message array, array of structs, struct, array of texts. */
#define WIRE_DEPTH_MAX 8u
/* What a decoded frame may take in memory, arrays included. */
#define WIRE_ARENA_BYTES_MAX (16u << 20)
/* Bytes a session holds to be sent before send says -ENOBUFS: the peer does not read. */
#define WIRE_QUEUE_BYTES_MAX (64u << 20)

/* --- text --------------------------------------------------------------------------------------
 */

#define WIRE_NAME_BYTES_MAX    64u   /* of a peer or a job */
#define WIRE_ARCH_BYTES_MAX    16u   /* "x86_64", as uname -m says */
#define WIRE_OS_BYTES_MAX      32u   /* "linux" */
#define WIRE_VERSION_BYTES_MAX 32u   /* of the program, for people */
#define WIRE_ADDRESS_BYTES_MAX 80u   /* "[fe80::1%eth0]:PORT" */
#define WIRE_REASON_BYTES_MAX  256u  /* one line for people */
#define WIRE_PATH_BYTES_MAX    1024u /* of a file inside a task's directory */

/* --- jobs and tasks ----------------------------------------------------------------------------
 */

/* One argument: Linux' MAX_ARG_STRLEN (32 pages), its NUL included. */
#define WIRE_ARG_BYTES_MAX (128u << 10)
/* All arguments of a task, or the whole environment of a job, with a NUL for each. */
#define WIRE_ARGV_BYTES_MAX (1u << 20)
#define WIRE_ARGS_MAX       (64u << 10)
/* What a task's input sources gave, kept beside the rest of it: so that both fit one frame. */
#define WIRE_VALUES_BYTES_MAX (192u << 10)
#define WIRE_ENV_MAX          1024u
/* Files that travel with a job; SCM_RIGHTS carries 253 at once. */
#define WIRE_FILES_MAX  128u
#define WIRE_FILTER_MAX 64u /* --on and --except of a job */
/* Blobs that a task reads, beside its input; its files among them, each named once. */
#define WIRE_REFS_MAX       16384u
#define WIRE_TASK_FILES_MAX 16384u /* that a task is given, or brings back; folders among them */
#define WIRE_RETURNS_MAX    1024u  /* files and folders named to be brought back */
/* A task beside its args: as counted by wire_rule_task(), so that it fits a body. */
#define WIRE_TASK_BYTES_MAX (1792u << 10)
/* Paths and inlined contents of the files of a result, with 64 bytes for each. */
#define WIRE_RESULT_FILES_BYTES_MAX (1536u << 10)
/* Output that travels inside a result, per stream, the contents of all its files, and arguments of
 * a call inside its task; more goes as a blob. */
#define WIRE_INLINE_BYTES_MAX (64u << 10)
#define WIRE_CHUNK_BYTES_MAX  (64u << 10) /* of a blob or of streamed output in one message */
/* Streamed output that may be unacknowledged, per stream. */
#define WIRE_STREAM_WINDOW_BYTES (256u << 10)
/* Tasks one submitter may have outstanding at one executor. */
#define WIRE_CREDIT_MAX 1024u
#define WIRE_CORES_MAX  4096u /* cores a peer may claim, and --cores */
#define WIRE_IDS_MAX    2048u /* attempts named in one recall or inventory message */

/* --- peers -------------------------------------------------------------------------------------
 */

#define WIRE_PEERS_MAX          256u /* peers told of in one message */
#define WIRE_PEER_ADDRESSES_MAX 8u   /* addresses told of one peer */
/* Parts of what is known of peers that are compared by a sum each: of 5,000 peers, some 40 in each,
 * which are told again where one of them differs. */
#define WIRE_PEERS_SUMS 128u
#define WIRE_AFTER_MAX  256u /* jobs that one waits for */
/* Results that an attached client is sent before it deals with them: each may bring descriptors. */
#define WIRE_ATTACH_AHEAD 128u
#define WIRE_LIST_MAX     65536u /* rows of a table sent to a client */

/* --- trust -------------------------------------------------------------------------------------
 */

#define WIRE_MEMBERS_MAX 4096u /* keys of a closed mesh */
#define WIRE_OLDER_MAX   8u    /* secrets that it had before */
#define WIRE_BANS_MAX    1024u
#define WIRE_PINS_MAX    256u

/* --- queues ------------------------------------------------------------------------------------
 */

#define WIRE_QUEUES_MAX          64u         /* of one peer */
#define WIRE_ITEM_BYTES_MAX      (64u << 10) /* of an item in a message; a larger one is a blob, */
#define WIRE_ITEM_BLOB_BYTES_MAX (UINT64_C(1) << 30) /* of at most so many */
#define WIRE_PUT_ITEMS_MAX       1024u               /* items in one put, */
#define WIRE_PUT_BLOBS_MAX       16u                 /* blobs among them, */
#define WIRE_PUT_BYTES_MAX       (1u << 20)          /* and the bytes of the others */

/* --- workers -----------------------------------------------------------------------------------
 */

#define WIRE_FUNCTION_BYTES_MAX 120u /* a name of a function */
#define WIRE_FUNCTIONS_MAX      512u /* of one program; all their names fit a packet */
#define WIRE_CALL_REFS_MAX      64u  /* blobs a call may refer to */
/* A packet between a daemon and a worker: a body that is inlined, and room for the rest. */
#define WIRE_WORKER_BYTES_MAX (WIRE_INLINE_BYTES_MAX + 4096u)
#define WIRE_WORKER_FDS_MAX   66u  /* descriptors with one packet */
#define WIRE_CALL_STATUS_MAX  127u /* from 128 on: 128 + the exit status of a worker that left */

#endif
