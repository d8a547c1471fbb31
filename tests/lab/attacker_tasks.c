/* Attacks with work: a hostile owner of tasks, and a hostile executor. */
#include <stdio.h>

#include "tests/lab/attacker.h"
#include "wire/base/mem.h"

#define SESSIONS  4u
#define ARG_BYTES (100u << 10)
#define WAITING   64u /* tasks that are sent ahead of what becomes of them */

/* --- a hostile owner ---------------------------------------------------------------------------
 */

static struct wire_message new_job(struct foe *foe)
{
    struct wire_message job = {.type = WIRE_MESSAGE_JOB};
    job.job.job = UINT64_C(1) << 32 | ++foe->last_job;
    job.job.spec.cores = 1;
    job.job.spec.lease_ms = 86400000;
    job.job.spec.output_bytes_max = UINT64_MAX;
    return job;
}

static struct wire_message new_task(const struct foe *foe, uint32_t task,
                                    const struct wire_slices *argv)
{
    struct wire_message message = {.type = WIRE_MESSAGE_TASK};
    message.task.id = (struct wire_attempt_id){
        .job = UINT64_C(1) << 32 | foe->last_job, .task = task, .incarnation = 1, .number = 1};
    message.task.argv = *argv;
    return message;
}

static void say_want(struct foe *foe)
{
    struct wire_message want = {.type = WIRE_MESSAGE_WANT, .want = {1000, 1000}};
    foe_say(foe, &want);
}

/* Job after job, each with all the environment that there may be, none of them ever over. */
static void go_on_jobs(struct foe *foe)
{
    static char word[ARG_BYTES];
    memset(word, 'x', sizeof(word));
    memcpy(word, "A=", 2);
    struct slice env[10];
    for (unsigned i = 0; i < ARRAY_LEN(env); i++) {
        env[i] = slice_of(word, sizeof(word));
    }
    struct wire_message job = new_job(foe);
    job.job.spec.env.items = env;
    job.job.spec.env.n = ARRAY_LEN(env);
    foe_say(foe, &job);
}

void attack_jobs(struct raid *raid)
{
    foe_serve(raid, SESSIONS, say_want, go_on_jobs);
}

/* Everything as large as it can be said. */
static void go_on_sizes(struct foe *foe)
{
    struct wire_message job = new_job(foe);
    struct wire_file files[WIRE_FILES_MAX];
    char paths[WIRE_FILES_MAX][16];
    for (unsigned i = 0; i < WIRE_FILES_MAX; i++) {
        int n = snprintf(paths[i], sizeof(paths[i]), "f%u", i);
        files[i] = (struct wire_file){
            .path = slice_of(paths[i], (size_t)n), .mode = 0777, .bytes = UINT64_MAX - i};
        raid_bytes(foe->raid, files[i].hash.b, sizeof(files[i].hash.b));
    }
    struct wire_ref refs[WIRE_REFS_MAX];
    for (unsigned i = 0; i < WIRE_REFS_MAX; i++) {
        refs[i] = (struct wire_ref){.bytes = UINT64_C(1) << 62};
        raid_bytes(foe->raid, refs[i].hash.b, sizeof(refs[i].hash.b));
    }
    job.job.spec.cores = foe->last_job % 3 == 0 ? WIRE_CORES_MAX : 1;
    job.job.spec.mem_bytes = foe->last_job % 3 == 1 ? UINT64_MAX : 0;
    job.job.spec.lease_ms = job.job.spec.timeout_ms = UINT64_MAX;
    job.job.spec.priority = UINT32_MAX;
    job.job.spec.is_streamed = foe->last_job % 2 == 0;
    if (foe->last_job % 4 == 3) {
        job.job.spec.files.items = files;
        job.job.spec.files.n = WIRE_FILES_MAX;
    }
    foe_say(foe, &job);
    struct slice word = slice_str("true");
    struct wire_slices argv = {.items = &word, .n = 1};
    struct wire_message task = new_task(foe, 1, &argv);
    task.task.has_input = foe->last_job % 5 == 0;
    task.task.input = refs[0].hash;
    task.task.input_bytes = UINT64_MAX;
    task.task.refs.items = refs;
    task.task.refs.n = foe->last_job % 7 == 0 ? WIRE_REFS_MAX : 0;
    foe_say(foe, &task);
    struct wire_message end = {.type = WIRE_MESSAGE_JOB_END};
    end.job_end.job = job.job.job;
    if (foe->last_job % 2 == 0) {
        foe_say(foe, &end);
    }
}

void attack_sizes(struct raid *raid)
{
    foe_serve(raid, SESSIONS, say_want, go_on_sizes);
}

/* As many tasks as are taken, each with a megabyte of arguments, and no result is acknowledged. */
static void begin_arguments(struct foe *foe)
{
    struct wire_message job = new_job(foe);
    say_want(foe);
    foe_say(foe, &job);
    foe->cores = 0; /* from here on: the number of the last task */
}

static void go_on_arguments(struct foe *foe)
{
    static char word[ARG_BYTES];
    memset(word, 'x', sizeof(word));
    struct slice words[11];
    words[0] = slice_str("true");
    for (unsigned i = 1; i < ARRAY_LEN(words); i++) {
        words[i] = slice_of(word, sizeof(word));
    }
    struct wire_slices argv = {.items = words, .n = ARRAY_LEN(words)};
    struct wire_message task = new_task(foe, ++foe->cores, &argv);
    foe_say(foe, &task);
}

void attack_arguments(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_arguments, go_on_arguments);
}

/* Tasks that print without end, to be kept and to be streamed. */
static void begin_output(struct foe *foe)
{
    struct wire_message job = new_job(foe);
    job.job.spec.is_streamed = raid_random(foe->raid) % 2 == 0;
    say_want(foe);
    foe_say(foe, &job);
    foe->cores = 0;
}

static void go_on_output(struct foe *foe)
{
    if (foe->cores > WAITING) {
        return;
    }
    const struct slice words[] = {slice_str("cat"), slice_str("/dev/zero")};
    struct wire_slices argv = {.items = words, .n = ARRAY_LEN(words)};
    struct wire_message task = new_task(foe, ++foe->cores, &argv);
    foe_say(foe, &task);
}

void attack_output(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_output, go_on_output);
}

/* --- blobs that are not what they are called ---------------------------------------------------
 */

#define BLOB_BYTES 100000u

static void begin_blobs(struct foe *foe)
{
    say_want(foe);
}

static void go_on_blobs(struct foe *foe)
{
    if (foe->cores == 0) { /* asks for the blob of the job before are still to be answered */
        return;
    }
    foe->cores--;
    struct wire_message job = new_job(foe);
    struct wire_file file = {.path = slice_str("prog"), .mode = 0777, .bytes = BLOB_BYTES};
    raid_bytes(foe->raid, file.hash.b, sizeof(file.hash.b));
    job.job.spec.files.items = &file;
    job.job.spec.files.n = 1;
    foe_say(foe, &job);
    struct slice word = slice_str("./prog");
    struct wire_slices argv = {.items = &word, .n = 1};
    struct wire_message task = new_task(foe, 1, &argv);
    foe_say(foe, &task);
}

static void answer_wrong(struct foe *foe, const struct wire_message *message)
{
    static const uint8_t bytes[BLOB_BYTES];
    if (message->type != WIRE_MESSAGE_BLOB_WANT) {
        foe->cores += message->type == WIRE_MESSAGE_REFUSE && foe->cores < WAITING;
        return;
    }
    for (size_t at = 0; at < BLOB_BYTES; at += WIRE_CHUNK_BYTES_MAX) {
        size_t n = BLOB_BYTES - at < WIRE_CHUNK_BYTES_MAX ? BLOB_BYTES - at : WIRE_CHUNK_BYTES_MAX;
        struct wire_message data = {.type = WIRE_MESSAGE_BLOB_DATA};
        data.blob_data.hash = message->blob_want.hash;
        data.blob_data.offset = at;
        data.blob_data.total = BLOB_BYTES;
        data.blob_data.bytes = slice_of(bytes, n);
        foe_say(foe, &data);
    }
    foe_seal(foe);
}

static void begin_wrong(struct foe *foe)
{
    foe->on_message = answer_wrong;
    begin_blobs(foe);
}

void attack_wrong_blobs(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_wrong, go_on_blobs);
}

/* More than was announced, from elsewhere than was asked, and what nobody asked for. */
static void answer_long(struct foe *foe, const struct wire_message *message)
{
    static const uint8_t bytes[WIRE_CHUNK_BYTES_MAX];
    if (message->type != WIRE_MESSAGE_BLOB_WANT) {
        foe->cores += message->type == WIRE_MESSAGE_REFUSE && foe->cores < WAITING;
        return;
    }
    uint64_t total = raid_random(foe->raid) % 2 == 0 ? UINT64_MAX : BLOB_BYTES;
    for (unsigned i = 0; i < 20; i++) {
        struct wire_message data = {.type = WIRE_MESSAGE_BLOB_DATA};
        data.blob_data.hash = message->blob_want.hash;
        data.blob_data.offset = total == BLOB_BYTES ? 0 : (uint64_t)i * sizeof(bytes);
        data.blob_data.total = total;
        data.blob_data.bytes = slice_of(bytes, sizeof(bytes));
        foe_say(foe, &data);
    }
    foe_seal(foe);
}

static void begin_long(struct foe *foe)
{
    foe->on_message = answer_long;
    begin_blobs(foe);
}

void attack_long_blobs(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_long, go_on_blobs);
}

/* --- a hostile executor ------------------------------------------------------------------------
 */

static void say_result(struct foe *foe, const struct wire_attempt_id *id, const char *text)
{
    struct wire_message started = {.type = WIRE_MESSAGE_STARTED};
    started.started.id = *id;
    foe_say(foe, &started);
    struct wire_message result = {.type = WIRE_MESSAGE_RESULT};
    result.result.id = *id;
    result.result.result.end = WIRE_END_EXITED;
    result.result.result.out.bytes = strlen(text);
    result.result.result.out.inlined = slice_str(text);
    foe_say(foe, &result);
}

/* Of tasks it was never given: the numbers are easy to guess. */
static void go_on_results(struct foe *foe)
{
    for (unsigned i = 0; i < 500; i++) {
        uint64_t x = raid_random(foe->raid);
        struct wire_attempt_id id = {.job = UINT64_C(1) << 32 | (x % 4 + 1),
                                     .task = (uint32_t)(x >> 8) % 1000 + 1,
                                     .incarnation = 1,
                                     .number = (uint32_t)(x >> 32) % 2 + 1};
        say_result(foe, &id, "forged\n");
        struct wire_message refuse = {.type = WIRE_MESSAGE_REFUSE};
        refuse.refuse.id = id;
        refuse.refuse.refusal = WIRE_REFUSAL_NOT_FOUND;
        foe_say(foe, &refuse);
        struct wire_message data = {.type = WIRE_MESSAGE_STREAM};
        data.stream.id = id;
        data.stream.stream = WIRE_STREAM_OUT;
        data.stream.bytes = slice_str("forged\n");
        foe_say(foe, &data);
    }
}

void attack_results(struct raid *raid)
{
    foe_serve(raid, SESSIONS, foe_say_nothing, go_on_results);
}

/* Takes tasks, answers for those of others, and gives its own back. */
static void answer_for_others(struct foe *foe, const struct wire_message *message)
{
    if (message->type != WIRE_MESSAGE_TASK) {
        return;
    }
    struct wire_attempt_id id = message->task.id;
    for (int step = -3; step <= 3; step++) {
        struct wire_attempt_id other = id;
        other.task = (uint32_t)((int)id.task + step);
        if (step != 0 && other.task > 0) {
            say_result(foe, &other, "stolen\n");
        }
        other = id;
        other.number = (uint32_t)((int)id.number + step);
        if (step != 0 && other.number > 0) {
            say_result(foe, &other, "stolen\n");
        }
    }
    struct wire_message refuse = {.type = WIRE_MESSAGE_REFUSE};
    refuse.refuse.id = id;
    refuse.refuse.refusal = WIRE_REFUSAL_BUSY;
    foe_say(foe, &refuse);
    foe_seal(foe);
}

static void say_credit(struct foe *foe)
{
    struct wire_message credit = {.type = WIRE_MESSAGE_CREDIT,
                                  .credit = {.n_tasks = 1, .cores = 1}};
    foe_say(foe, &credit);
    struct wire_message inventory = {.type = WIRE_MESSAGE_INVENTORY};
    inventory.inventory.is_last = true;
    foe_say(foe, &inventory);
}

static void begin_stealing(struct foe *foe)
{
    foe->on_message = answer_for_others;
    say_credit(foe);
}

void attack_stolen_results(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_stealing, foe_say_nothing);
}

/* Output without end for a task that it was given, far beyond what was acknowledged. */
static void answer_streaming(struct foe *foe, const struct wire_message *message)
{
    static const uint8_t bytes[WIRE_CHUNK_BYTES_MAX];
    if (message->type != WIRE_MESSAGE_TASK) {
        return;
    }
    struct wire_message started = {.type = WIRE_MESSAGE_STARTED};
    started.started.id = message->task.id;
    foe_say(foe, &started);
    for (unsigned i = 0; i < 200; i++) {
        struct wire_message data = {.type = WIRE_MESSAGE_STREAM};
        data.stream.id = message->task.id;
        data.stream.stream = i % 2 == 0 ? WIRE_STREAM_OUT : WIRE_STREAM_ERR;
        data.stream.offset = (uint64_t)(i / 2) * sizeof(bytes);
        data.stream.bytes = slice_of(bytes, sizeof(bytes));
        foe_say(foe, &data);
    }
    struct wire_message refuse = {.type = WIRE_MESSAGE_REFUSE};
    refuse.refuse.id = message->task.id;
    refuse.refuse.refusal = WIRE_REFUSAL_BUSY;
    foe_say(foe, &refuse);
    foe_seal(foe);
}

static void begin_streaming(struct foe *foe)
{
    foe->on_message = answer_streaming;
    say_credit(foe);
}

void attack_streams(struct raid *raid)
{
    foe_serve(raid, SESSIONS, begin_streaming, foe_say_nothing);
}
