/* The commands of the closed mesh as their users meet them: codes that are typed, pasted or piped,
 * peers that are named, and what is printed of both. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/invitation.h"
#include "cli/peer_arg.h"
#include "tests/lib/command.h"
#include "tests/lib/fake_daemon.h"
#include "tests/lib/runner.h"
#include "wire/key.h"

#define WORDS_MAX 8
#define CODE_MAX  1024

static struct fake_daemon the_daemon;

static const struct fake_daemon_options locked = {.is_locked = true, .n_peers = 3};
static const struct fake_daemon_options crowded = {
    .is_locked = true, .is_crowded = true, .n_peers = 3};

/* `mesh --socket DAEMON WORDS...`; the socket of nobody before the daemon was started. */
static void start(struct command *command, int stdin_fd, const char *const *words)
{
    const char *argv[WORDS_MAX + 4] = {MESH_COMMAND, "--socket", the_daemon.path};
    if (the_daemon.path[0] == '\0') {
        argv[2] = "/nonexistent/s";
    }
    for (unsigned i = 0; words[i] != NULL; i++) {
        ck_assert_uint_lt(i, WORDS_MAX);
        argv[3 + i] = words[i];
    }
    command_start(command, argv, stdin_fd, -1);
}

static void run_with(struct command *command, int stdin_fd, const char *const *words)
{
    start(command, stdin_fd, words);
    command_wait(command);
}

#define RUN(command, ...) run_with(command, -1, (const char *const[]){__VA_ARGS__, NULL})

static void join_with(struct command *command, const char *text)
{
    int fd = command_file(text, strlen(text));
    run_with(command, fd, (const char *const[]){"join", NULL});
    close(fd);
}

static void expect_one_line(const struct command *command, int status, const char *says)
{
    ck_assert_msg(strstr(command->err, says) != NULL, "%s\n is not in: %s", says, command->err);
    ck_assert_int_eq(command->status, status);
    ck_assert_str_eq(command->out, "");
    const char *newline = strchr(command->err, '\n');
    ck_assert_ptr_nonnull(newline);
    ck_assert_int_eq(newline[1], '\0');
    ck_assert_ptr_null(strchr(command->err, '\033'));
}

/* The code that the fake daemon's invitation has, made when its clock said `now_s`. */
static void make_code(uint64_t now_s, char code[static WIRE_INVITE_TEXT_BYTES])
{
    const struct slice items[] = {slice_str(FAKE_ADDRESS), slice_str(FAKE_ADDRESS_V6)};
    struct wire_invitation invitation = {.addresses = {.items = items, .n = 2}, .valid_s = 600};
    struct errmsg err;
    invitation.key.b[0] = 1;
    memset(invitation.token.b, FAKE_TOKEN_BYTE, sizeof(invitation.token.b));
    ck_assert_int_eq(cmd_invitation_format(&invitation, now_s, code, &err), 0);
}

/* --- codes -------------------------------------------------------------------------------------
 */

START_TEST(a_code_brings_back_what_the_invitation_said)
{
    static const char *const said[] = {"[fe80::1%eth0]:7766", "[fe80::2]:7766",
                                       "lily:7766",           "10.0.0.1",
                                       "10.0.0.1:0",          "10.0.0.1:65536",
                                       "10.0.0.300:1",        "[10.0.0.1]:1",
                                       "2001:db8::1:7766",    "",
                                       "10.0.0.1:7766",       "[2001:db8::1]:65535",
                                       "192.168.1.255:1",     "[fd00::2]:7766",
                                       "10.0.0.5:7766"};
    static const char *const kept[] = {"10.0.0.1:7766", "[2001:db8::1]:65535", "192.168.1.255:1",
                                       "[fd00::2]:7766"};
    struct slice items[ARRAY_LEN(said)];
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        items[i] = slice_str(said[i]);
    }
    struct wire_invitation invitation = {.addresses = {.items = items, .n = ARRAY_LEN(said)},
                                         .valid_s = 600};
    invitation.key.b[31] = 7;
    invitation.token.b[15] = 9;
    char code[WIRE_INVITE_TEXT_BYTES];
    struct cmd_invitation back;
    struct errmsg err;
    ck_assert_int_eq(cmd_invitation_format(&invitation, 60 * 1000 + 1, code, &err), 0);
    ck_assert_int_eq(cmd_invitation_parse(slice_str(code), &back, &err), 0);
    ck_assert_mem_eq(&back.join.key, &invitation.key, sizeof(back.join.key));
    ck_assert_mem_eq(&back.join.token, &invitation.token, sizeof(back.join.token));
    ck_assert_uint_eq(back.expires_min, 1011); /* a minute that has begun is counted in */
    ck_assert_uint_eq(back.join.addresses.n, ARRAY_LEN(kept));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        ck_assert(slice_eq_str(back.join.addresses.items[i], kept[i]));
    }
    /* Without any that could be reached there is no code. */
    invitation.addresses.n = 10;
    ck_assert_int_eq(cmd_invitation_format(&invitation, 0, code, &err), -EADDRNOTAVAIL);
    invitation.addresses.n = 0;
    ck_assert_int_eq(cmd_invitation_format(&invitation, 0, code, &err), -EADDRNOTAVAIL);
}
END_TEST

START_TEST(a_code_is_taken_however_it_was_copied)
{
    static const char *const before[] = {"", "\n\n  ", "", "\t", ""};
    static const char *const after[] = {"", "\n", "\r\n", " \r\n\r\n", "\n\n\n"};
    static const char separators[] = {'-', ' ', '\n', '\t', 0};
    char code[WIRE_INVITE_TEXT_BYTES];
    make_code((uint64_t)time(NULL), code);
    char text[CODE_MAX];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", before[_i]);
    for (const char *c = code; *c != '\0'; c++) {
        if (*c == '-' && separators[_i] == 0) {
            continue;
        }
        char plain = *c == '-' ? separators[_i] : *c;
        text[n++] = _i % 2 != 0 && plain >= 'a' && plain <= 'z' ? (char)(plain - 32) : plain;
    }
    snprintf(text + n, sizeof(text) - n, "%s", after[_i]);
    struct command command;
    fake_daemon_start(&the_daemon, &locked);
    join_with(&command, text);
    ck_assert_str_eq(command.err, "");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "is a member"));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

/* There is no daemon: what is said is said before one is asked. */
START_TEST(a_wrong_code_is_refused_before_any_daemon_is_asked)
{
    char code[WIRE_INVITE_TEXT_BYTES];
    struct command command;
    the_daemon.path[0] = '\0';
    make_code((uint64_t)time(NULL), code);
    join_with(&command, code);
    expect_one_line(&command, 1, "no meshd at /nonexistent/s"); /* the right one goes further */
    command_done(&command);

    char *digit = strchr(code, '-') + 1;
    *digit = *digit == '7' ? '8' : '7';
    join_with(&command, code);
    expect_one_line(&command, 1, "typo");
    ck_assert_ptr_null(strstr(command.err, code));
    command_done(&command);

    code[strlen(code) - 10] = '\0';
    join_with(&command, code);
    expect_one_line(&command, 1, "not all there");
    command_done(&command);

    join_with(&command, "");
    expect_one_line(&command, 1, "standard input is empty");
    command_done(&command);

    join_with(&command, "\033[31m");
    expect_one_line(&command, 1, "\\x1b");
    command_done(&command);
}
END_TEST

START_TEST(an_endless_input_is_no_code)
{
    struct command command;
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    run_with(&command, zero, (const char *const[]){"join", NULL});
    close(zero);
    expect_one_line(&command, 1, "too long");
    command_done(&command);
}
END_TEST

START_TEST(an_input_that_cannot_be_read_is_told)
{
    struct command command;
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    run_with(&command, folder, (const char *const[]){"join", NULL});
    close(folder);
    expect_one_line(&command, 1, "cannot read standard input: Is a directory");
    command_done(&command);
}
END_TEST

START_TEST(a_code_is_no_argument_and_is_not_repeated)
{
    struct command command;
    char code[WIRE_INVITE_TEXT_BYTES];
    make_code((uint64_t)time(NULL), code);
    RUN(&command, "join", code);
    expect_one_line(&command, 2, "a code is no argument");
    ck_assert_ptr_null(strstr(command.err, code));
    command_done(&command);
}
END_TEST

/* The clocks of two machines may differ: ours refuses nothing, it explains. */
START_TEST(an_expired_code_is_asked_about_and_explained)
{
    char code[WIRE_INVITE_TEXT_BYTES];
    struct command command;
    fake_daemon_start(&the_daemon, &locked);
    make_code((uint64_t)time(NULL) - 7200, code);
    join_with(&command, code);
    ck_assert_int_eq(command.status, 0); /* the inviter had nothing against it */
    command_done(&command);
    fake_daemon_stop(&the_daemon);

    struct cmd_invitation other;
    struct errmsg err;
    ck_assert_int_eq(cmd_invitation_parse(slice_str(code), &other, &err), 0);
    other.join.key.b[0] = 2; /* the fake daemon knows it not */
    struct wire_invitation unknown = {
        .key = other.join.key, .token = other.join.token, .addresses = other.join.addresses};
    ck_assert_int_eq(cmd_invitation_format(&unknown, (uint64_t)time(NULL) - 7200, code, &err), 0);
    fake_daemon_start(&the_daemon, &locked);
    join_with(&command, code);
    expect_one_line(&command, 1, "knows no such invitation; by this machine's clock it expired 1");
    command_done(&command);
    ck_assert_int_eq(cmd_invitation_format(&unknown, (uint64_t)time(NULL) + 60, code, &err), 0);
    join_with(&command, code);
    expect_one_line(&command, 1, "knows no such invitation\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

/* --- the terminal ------------------------------------------------------------------------------
 */

static int open_terminal(int *ret_user)
{
    int user = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(user, 0);
    ck_assert_int_eq(grantpt(user), 0);
    ck_assert_int_eq(unlockpt(user), 0);
    int fd = open(ptsname(user), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    *ret_user = user;
    return fd;
}

static bool echoes(int terminal)
{
    struct termios now;
    ck_assert_int_eq(tcgetattr(terminal, &now), 0);
    return (now.c_lflag & ECHO) != 0;
}

static void wait_until_hidden(int terminal)
{
    while (echoes(terminal)) {
        poll(NULL, 0, 1); /* nothing tells of it; Check ends this if it never comes */
    }
}

/* What the user would have seen. */
static void read_screen(int user, char *to, size_t n_to)
{
    size_t n = 0;
    struct pollfd can_read = {.fd = user, .events = POLLIN};
    while (n < n_to - 1 && poll(&can_read, 1, 0) == 1 && (can_read.revents & POLLIN) != 0) {
        ssize_t r = read(user, to + n, n_to - 1 - n);
        ck_assert_int_gt((int)r, 0);
        n += (size_t)r;
    }
    to[n] = '\0';
}

START_TEST(a_code_that_is_typed_is_not_shown)
{
    char code[WIRE_INVITE_TEXT_BYTES];
    char screen[4096];
    int user;
    int terminal = open_terminal(&user);
    struct command command;
    make_code((uint64_t)time(NULL), code);
    fake_daemon_start(&the_daemon, &locked);
    start(&command, terminal, (const char *const[]){"join", NULL});
    wait_until_hidden(terminal);
    ck_assert_int_eq((int)write(user, code, strlen(code)), (int)strlen(code));
    ck_assert_int_eq((int)write(user, "\n", 1), 1);
    command_wait(&command);
    ck_assert_int_eq(command.status, 0);
    ck_assert_str_eq(command.err, "Code (it is not shown): \n");
    ck_assert(echoes(terminal));
    read_screen(user, screen, sizeof(screen));
    for (size_t i = 0; i + 5 < strlen(code); i += 6) { /* no group of it either */
        char group[6];
        snprintf(group, sizeof(group), "%s", code + i);
        ck_assert_ptr_null(strstr(screen, group));
    }
    command_done(&command);
    fake_daemon_stop(&the_daemon);
    close(terminal);
    close(user);
}
END_TEST

START_TEST(a_signal_leaves_a_terminal_that_shows_what_is_typed)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    int user;
    int terminal = open_terminal(&user);
    struct command command;
    start(&command, terminal, (const char *const[]){"join", NULL});
    wait_until_hidden(terminal);
    ck_assert_int_eq(kill(command.pid, signals[_i]), 0);
    command_wait(&command);
    ck_assert_int_eq(command.status, 128 + signals[_i]);
    ck_assert(echoes(terminal));
    command_done(&command);
    close(terminal);
    close(user);
}
END_TEST

/* --- lock, unlock, invite ----------------------------------------------------------------------
 */

START_TEST(lock_and_unlock_say_what_they_did)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){0});
    RUN(&command, "lock");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "alone in a closed mesh"));
    ck_assert_ptr_nonnull(strstr(command.out, "`mesh invite` here, then `mesh join` there"));
    command_done(&command);
    RUN(&command, "unlock");
    expect_one_line(&command, 1, "this peer is in no \\x1b[31mclosed mesh");
    command_done(&command);
    RUN(&command, "invite");
    expect_one_line(&command, 1, "mesh: this mesh is open\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
    fake_daemon_start(&the_daemon, &locked);
    RUN(&command, "lock");
    expect_one_line(&command, 1, "in a closed mesh already");
    command_done(&command);
    RUN(&command, "unlock");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "in the open mesh again"));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

static const struct {
    const char *valid; /* NULL: not given */
    unsigned s;
    const char *says;
} valid[] = {
    {NULL, 600, "10 minutes"},          {"1", 60, "1 minute;"},
    {"90s", 90, "90 seconds"},          {"2h", 7200, "120 minutes"},
    {"10080", 604800, "10080 minutes"},
};

START_TEST(invite_prints_the_code_alone)
{
    struct command command;
    fake_daemon_start(&the_daemon, &locked);
    uint64_t before_s = (uint64_t)time(NULL);
    if (valid[_i].valid == NULL) {
        RUN(&command, "invite");
    } else {
        RUN(&command, "invite", "--valid", valid[_i].valid);
    }
    uint64_t after_s = (uint64_t)time(NULL);
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_eq(strchr(command.out, '\n'), command.out + strlen(command.out) - 1);
    struct cmd_invitation invitation;
    struct errmsg err;
    ck_assert_int_eq(cmd_invitation_parse(slice_str(command.out), &invitation, &err), 0);
    ck_assert_uint_eq(invitation.join.addresses.n, 2);
    ck_assert_uint_ge(invitation.expires_min, (before_s + valid[_i].s + 59) / 60);
    ck_assert_uint_le(invitation.expires_min, (after_s + valid[_i].s + 59) / 60);
    ck_assert_ptr_nonnull(strstr(command.err, "`mesh join`"));
    ck_assert_msg(strstr(command.err, valid[_i].says) != NULL, "%s", command.err);
    /* It goes through a pipe as it is. */
    struct command join;
    join_with(&join, command.out);
    ck_assert_int_eq(join.status, 0);
    command_done(&join);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(an_invitation_that_nobody_could_use_is_an_error)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){.is_locked = true});
    RUN(&command, "invite");
    expect_one_line(&command, 1, "no address that others could reach");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

/* --- peers that are meant ----------------------------------------------------------------------
 */

#define KEY_2 "0202020202020202020202020202020202020202020202020202020202020202"
#define KEY_F "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

/* The candidates' first bytes are 1, 2, ...: ids 040g-2081, 0810-40g2, 0c1g-60r3, 1041-040g... */
static const char *const names[] = {"hal", "lily", "lilith", "twin", "twin", "", "0c1g-60r3"};

static const struct {
    const char *text;
    int at; /* or negative errno */
    const char *says;
} meant[] = {
    {"hal", 0, NULL},
    {"lily", 1, NULL},
    {"lili", 2, NULL},
    {"h", 0, NULL},
    {"0810-40g2", 1, NULL},
    {"081040G2", 1, NULL},
    {"o8lo", 1, NULL}, /* as Crockford has it */
    {KEY_2, 1, NULL},
    {KEY_F, 7, NULL},
    {"lil", -EEXIST, "one of 2, give the id or the whole key: lily 0810-40g2, lilith 0c1g-60r3"},
    {"twin", -EEXIST, "twin 0g20-8104, twin 0m2g-a185"},
    {"0", -EEXIST, "one of 7"},
    {"0c1g-60r3", -EEXIST, "lilith 0c1g-60r3, 0c1g-60r3 0w3g-e1r7"}, /* somebody's name, too */
    {"max", -ENOENT, "there is no peer 'max'"},
    {"Hal", -ENOENT, "there is no peer 'Hal'"},
    {"", -ENOENT, "there is no peer ''"},
    {"\033[31m", -ENOENT, "'\\x1b[31m'"},
    {"0810-40g20", -ENOENT, "there is no peer"},
};

START_TEST(a_peer_is_found_by_name_id_or_the_beginning_of_one)
{
    struct cmd_candidate candidates[ARRAY_LEN(names)];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        memset(candidates[i].key.b, (int)i + 1, sizeof(candidates[i].key.b));
        candidates[i].name = slice_str(names[i]);
    }
    struct wire_key key;
    uint32_t at;
    struct errmsg err = {""};
    int r = cmd_peer_find(candidates, ARRAY_LEN(names), meant[_i].text, &key, &at, &err);
    if (meant[_i].at < 0) {
        ck_assert_int_eq(r, meant[_i].at);
        ck_assert_msg(strstr(err.text, meant[_i].says) != NULL, "%s\n is not in: %s",
                      meant[_i].says, err.text);
        ck_assert_ptr_null(strchr(err.text, '\033'));
        return;
    }
    ck_assert_msg(r == 0, "%s", err.text);
    ck_assert_int_eq((int)at, meant[_i].at);
    if (at < ARRAY_LEN(names)) {
        ck_assert(wire_key_eq(&key, &candidates[at].key));
    } else {
        ck_assert_uint_eq(key.b[31], 0xff);
    }
}
END_TEST

/* The same peer twice is one peer. */
START_TEST(one_key_listed_twice_is_not_ambiguous)
{
    struct cmd_candidate candidates[] = {{.name = slice_str("hal")}, {.name = slice_str("hal")}};
    struct wire_key key;
    uint32_t at;
    struct errmsg err;
    candidates[0].key.b[0] = candidates[1].key.b[0] = 3;
    ck_assert_int_eq(cmd_peer_find(candidates, 2, "hal", &key, &at, &err), 0);
    candidates[1].key.b[31] = 1; /* the same id, and another key */
    ck_assert_int_eq(cmd_peer_find(candidates, 2, "hal", &key, &at, &err), -EEXIST);
    ck_assert_int_eq(cmd_peer_find(candidates, 2, "0c00-0000", &key, &at, &err), -EEXIST);
}
END_TEST

/* --- trust and ban -----------------------------------------------------------------------------
 */

START_TEST(trust_pins_lists_and_lets_go)
{
    struct command command;
    fake_daemon_start(&the_daemon, &locked);
    RUN(&command, "trust", "lil");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "Only 0810-40g2 may be called lily"));
    ck_assert_ptr_nonnull(strstr(command.out, KEY_2));
    command_done(&command);
    RUN(&command, "trust", KEY_2);
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    RUN(&command, "trust", KEY_F);
    expect_one_line(&command, 1, "not in sight");
    command_done(&command);
    RUN(&command, "trust", "hal");
    expect_one_line(&command, 1, "that was not the peer");
    command_done(&command);
    RUN(&command, "trust", "--remove", "max");
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    RUN(&command, "trust", "--remove", "lily");
    expect_one_line(&command, 1, "the name is not pinned");
    command_done(&command);
    RUN(&command, "trust", "--list");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "closed: 4 members, secret number 3."));
    ck_assert_ptr_nonnull(strstr(command.out, "1 banned"));
    ck_assert_ptr_nonnull(strstr(command.out, "\nmax "));
    ck_assert_ptr_nonnull(strstr(command.out, "ros\\x1b[31ma"));
    ck_assert_ptr_null(strchr(command.out, '\033'));
    command_done(&command);
    RUN(&command, "trust", "--list", "--json");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "\"locked\": true"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"generation\": 3"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"members\": 4"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"name\": \"max\""));
    ck_assert_ptr_nonnull(strstr(command.out, "\"bans\": [\n    {\n      \"id\": \"144g-j289\""));
    ck_assert_ptr_null(strchr(command.out, '\033'));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(an_open_mesh_without_pins_says_so)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){0});
    RUN(&command, "trust", "--list");
    ck_assert_str_eq(command.out, "The mesh is open.\nNo name is pinned.\n");
    command_done(&command);
    RUN(&command, "trust", "--list", "--json");
    ck_assert_ptr_nonnull(strstr(command.out, "\"locked\": false"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"pins\": []"));
    command_done(&command);
    RUN(&command, "ban", "--list");
    ck_assert_str_eq(command.out, "Nobody is banned.\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(ban_takes_who_is_in_sight_and_lifts_for_who_is_banned)
{
    struct command command;
    fake_daemon_start(&the_daemon, &locked);
    RUN(&command, "ban", "lily");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "lily 0810-40g2 is banned"));
    ck_assert_ptr_nonnull(strstr(command.out, "new secret"));
    command_done(&command);
    RUN(&command, "ban", "max");
    expect_one_line(&command, 1, "there is no peer 'max'");
    command_done(&command);
    RUN(&command, "ban", KEY_F);
    expect_one_line(&command, 1, "that was not the key"); /* the daemon was asked */
    command_done(&command);
    RUN(&command, "ban", "--list");
    ck_assert_ptr_nonnull(strstr(command.out, "144g-j289"));
    command_done(&command);
    RUN(&command, "ban", "--remove", "144g");
    ck_assert_int_eq(command.status, 0);
    ck_assert_str_eq(command.out, "144g-j289 is not banned any more.\n");
    command_done(&command);
    RUN(&command, "ban", "--remove", "lily"); /* in sight, and not banned */
    expect_one_line(&command, 1, "there is no peer 'lily'");
    command_done(&command);
    RUN(&command, "ban", "--remove", KEY_2);
    expect_one_line(&command, 1, "this key is not banned");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(of_two_with_one_name_the_id_says_which)
{
    struct command command;
    fake_daemon_start(&the_daemon, &crowded);
    RUN(&command, "ban", "lily");
    expect_one_line(&command, 1, "lily 0810-40g2, lily 0c1g-60r3");
    command_done(&command);
    RUN(&command, "ban", "0810");
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(peers_say_why_one_is_refused_or_a_conflict)
{
    struct command command;
    fake_daemon_start(&the_daemon, &crowded);
    RUN(&command, "peers");
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "DETAIL"));
    ck_assert_ptr_nonnull(strstr(command.out, "refused"));
    ck_assert_ptr_nonnull(strstr(command.out, "another\\x1b[31m mesh"));
    ck_assert_ptr_nonnull(strstr(command.out, "conflict"));
    ck_assert_ptr_nonnull(strstr(command.out, "the name lily is pinned to 0810-40g2"));
    ck_assert_ptr_null(strchr(command.out, '\033'));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
    fake_daemon_start(&the_daemon, &locked);
    RUN(&command, "peers");
    ck_assert_ptr_null(strstr(command.out, "DETAIL")); /* no column for nothing */
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_trust");
    TCase *tc = tcase_create("cli_trust");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_code_brings_back_what_the_invitation_said);
    tcase_add_loop_test(tc, a_code_is_taken_however_it_was_copied, 0, 5);
    tcase_add_test(tc, a_wrong_code_is_refused_before_any_daemon_is_asked);
    tcase_add_test(tc, an_endless_input_is_no_code);
    tcase_add_test(tc, an_input_that_cannot_be_read_is_told);
    tcase_add_test(tc, a_code_is_no_argument_and_is_not_repeated);
    tcase_add_test(tc, an_expired_code_is_asked_about_and_explained);
    tcase_add_test(tc, a_code_that_is_typed_is_not_shown);
    tcase_add_loop_test(tc, a_signal_leaves_a_terminal_that_shows_what_is_typed, 0, 4);
    tcase_add_test(tc, lock_and_unlock_say_what_they_did);
    tcase_add_loop_test(tc, invite_prints_the_code_alone, 0, (int)ARRAY_LEN(valid));
    tcase_add_test(tc, an_invitation_that_nobody_could_use_is_an_error);
    tcase_add_loop_test(tc, a_peer_is_found_by_name_id_or_the_beginning_of_one, 0,
                        (int)ARRAY_LEN(meant));
    tcase_add_test(tc, one_key_listed_twice_is_not_ambiguous);
    tcase_add_test(tc, trust_pins_lists_and_lets_go);
    tcase_add_test(tc, an_open_mesh_without_pins_says_so);
    tcase_add_test(tc, ban_takes_who_is_in_sight_and_lifts_for_who_is_banned);
    tcase_add_test(tc, of_two_with_one_name_the_id_says_which);
    tcase_add_test(tc, peers_say_why_one_is_refused_or_a_conflict);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
