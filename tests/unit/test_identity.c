#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/runner.h"
#include "wire/base/text.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

static char dir_path[64];
static int dir_fd;

static void make_dir(void)
{
    ck_assert_int_eq(wire_init(), 0);
    memcpy(dir_path, "/tmp/mesh-identity-XXXXXX", sizeof("/tmp/mesh-identity-XXXXXX"));
    ck_assert_ptr_nonnull(mkdtemp(dir_path));
    dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir_fd, 0);
}

static void remove_dir(void)
{
    unlinkat(dir_fd, "key", 0);
    unlinkat(dir_fd, "elsewhere", 0);
    close(dir_fd);
    /* Fails when a temporary file was left behind. */
    ck_assert_int_eq(rmdir(dir_path), 0);
}

static void put_key(const char *text, mode_t mode)
{
    int fd = openat(dir_fd, "key", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void refused(int with)
{
    struct wire_identity *identity = NULL;
    struct errmsg err = {""};
    ck_assert_int_eq(wire_identity_load(dir_fd, &identity, &err), with);
    ck_assert_ptr_null(identity);
    ck_assert_ptr_nonnull(strstr(err.text, "key"));
    ck_assert_ptr_null(strchr(err.text, '\n'));
}

#define SEED_HEX  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define GOOD_FILE "mesh key 1\n" SEED_HEX "\n"

START_TEST(a_key_made_once_is_read_again)
{
    struct wire_identity *first, *second;
    struct errmsg err;
    mode_t old = umask(0);
    ck_assert_int_eq(wire_identity_load(dir_fd, &first, &err), 0);
    umask(old);
    ck_assert_int_eq(wire_identity_load(dir_fd, &second, &err), 0);
    ck_assert(wire_key_eq(wire_identity_key(first), wire_identity_key(second)));
    ck_assert(!wire_key_is_zero(wire_identity_key(first)));
    struct stat st;
    ck_assert_int_eq(fstatat(dir_fd, "key", &st, 0), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq(st.st_nlink, 1);
    wire_identity_free(first);
    wire_identity_free(second);
}
END_TEST

START_TEST(the_file_is_the_seed_and_the_key_that_of_rfc_8032)
{
    /* RFC 8032, 7.1, test 1. */
    put_key("mesh key 1\n9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n", 0600);
    struct wire_identity *identity;
    ck_assert_int_eq(wire_identity_load(dir_fd, &identity, NULL), 0);
    char text[WIRE_KEY_TEXT_BYTES];
    ck_assert_str_eq(wire_key_text(wire_identity_key(identity), text),
                     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    uint8_t signature[WIRE_SIGNATURE_BYTES];
    char hex[2 * sizeof(signature) + 1];
    wire_identity_sign(identity, slice_of(NULL, 0), signature);
    text_hex(slice_of(signature, sizeof(signature)), hex, sizeof(hex));
    ck_assert_str_eq(hex, "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                          "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
    ck_assert(wire_verify(wire_identity_key(identity), slice_of(NULL, 0), signature));
    signature[5] ^= 1;
    ck_assert(!wire_verify(wire_identity_key(identity), slice_of(NULL, 0), signature));
    wire_identity_free(identity);
}
END_TEST

START_TEST(a_file_that_others_may_read_is_refused)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0666, 0610, 0777};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        put_key(GOOD_FILE, modes[i]);
        refused(-EPERM);
    }
    put_key(GOOD_FILE, 0400);
    struct wire_identity *identity;
    ck_assert_int_eq(wire_identity_load(dir_fd, &identity, NULL), 0);
    wire_identity_free(identity);
}
END_TEST

START_TEST(a_file_of_another_user_is_refused)
{
    put_key(GOOD_FILE, 0600);
    if (geteuid() != 0) {
        return; /* only root can give a file away */
    }
    ck_assert_int_eq(fchownat(dir_fd, "key", 12345, (gid_t)-1, 0), 0);
    refused(-EPERM);
}
END_TEST

START_TEST(a_file_cut_at_any_byte_is_refused)
{
    for (size_t n = 0; n < sizeof(GOOD_FILE) - 1; n++) {
        char text[sizeof(GOOD_FILE)] = GOOD_FILE;
        text[n] = '\0';
        put_key(text, 0600);
        refused(-EINVAL);
    }
}
END_TEST

START_TEST(a_file_that_is_no_key_is_refused)
{
    put_key(GOOD_FILE "x", 0600);
    refused(-EINVAL);
    put_key("mesh key 2\n" SEED_HEX "\n", 0600);
    refused(-EINVAL);
    put_key("mesh key 1\ng00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", 0600);
    refused(-EINVAL);
    unlinkat(dir_fd, "key", 0);
    ck_assert_int_eq(mkfifoat(dir_fd, "key", 0600), 0);
    refused(-EINVAL);
    unlinkat(dir_fd, "key", 0);
    ck_assert_int_eq(symlinkat("elsewhere", dir_fd, "key"), 0);
    refused(-ELOOP);
    ck_assert_int_ne(faccessat(dir_fd, "elsewhere", F_OK, 0), 0);
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_an_error_of_one_line)
{
    int closed = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct wire_identity *identity = NULL;
    struct errmsg err = {""};
    ck_assert_int_lt(wire_identity_load(closed, &identity, &err), 0);
    ck_assert_ptr_null(identity);
    ck_assert_ptr_nonnull(strstr(err.text, "--state"));
    close(closed);
}
END_TEST

START_TEST(processes_that_start_at_once_get_the_same_key)
{
    enum { N = 8 };
    int pipes[N][2];
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(pipe(pipes[i]), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct wire_identity *identity;
            if (wire_identity_load(dir_fd, &identity, NULL) == 0 &&
                write(pipes[i][1], wire_identity_key(identity), sizeof(struct wire_key)) ==
                    (ssize_t)sizeof(struct wire_key)) {
                _exit(0);
            }
            _exit(1);
        }
    }
    struct wire_key keys[N];
    for (int i = 0; i < N; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(read(pipes[i][0], &keys[i], sizeof(keys[i])), (ssize_t)sizeof(keys[i]));
        ck_assert(wire_key_eq(&keys[0], &keys[i]));
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}
END_TEST

START_TEST(an_id_is_forty_bits_of_the_key_as_crockford_writes_them)
{
    /* 5 bits each: 0 1 2 31, 30 17 18 10 */
    struct wire_key key = {.b = {0x00, 0x45, 0xff, 0x46, 0x4a, 0xff}};
    char text[WIRE_ID_TEXT_BYTES];
    ck_assert_str_eq(wire_id_text(&key, text), "012z-yhja");
    static const char *const matching[] = {"0", "012z-yhja", "012ZYHJA", "o12z", "OL2Z", "-0-i2"};
    for (size_t i = 0; i < ARRAY_LEN(matching); i++) {
        ck_assert_msg(wire_id_matches(&key, matching[i]), "%s", matching[i]);
    }
    static const char *const others[] = {"",           "-", "1",   "012z-yhjb",
                                         "012z-yhja0", "u", "0 1", "0\xc3"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert_msg(!wire_id_matches(&key, others[i]), "%s", others[i]);
    }
}
END_TEST

START_TEST(a_key_in_text_comes_back)
{
    struct wire_key key, back;
    for (unsigned i = 0; i < sizeof(key.b); i++) {
        key.b[i] = (uint8_t)(i * 9 + 1);
    }
    char text[WIRE_KEY_TEXT_BYTES];
    ck_assert_int_eq(wire_key_parse(wire_key_text(&key, text), &back), 0);
    ck_assert(wire_key_eq(&key, &back));
    ck_assert_int_eq(wire_key_cmp(&key, &back), 0);
    back.b[31]++;
    ck_assert_int_lt(wire_key_cmp(&key, &back), 0);
    text[63] = '\0';
    ck_assert_int_eq(wire_key_parse(text, &back), -EINVAL);
    text[63] = 'g';
    ck_assert_int_eq(wire_key_parse(text, &back), -EINVAL);
    ck_assert_int_eq(wire_key_parse("", &back), -EINVAL);
}
END_TEST

START_TEST(a_blob_is_named_as_b2sum_names_it)
{
    /* printf abc | b2sum -l 256 */
    static const char abc[] = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
    struct wire_hash hash = wire_blob_hash(slice_str("abc")), back;
    char text[WIRE_HASH_TEXT_BYTES];
    ck_assert_str_eq(wire_hash_text(&hash, text), abc);
    struct wire_blob_hash parts;
    wire_blob_hash_init(&parts);
    wire_blob_hash_update(&parts, slice_str("a"));
    wire_blob_hash_update(&parts, slice_of(NULL, 0));
    wire_blob_hash_update(&parts, slice_str("bc"));
    wire_blob_hash_final(&parts, &back);
    ck_assert(wire_hash_eq(&hash, &back));
    ck_assert_int_eq(wire_hash_parse(abc, &back), 0);
    ck_assert(wire_hash_eq(&hash, &back));
    ck_assert_int_eq(wire_hash_parse(abc + 1, &back), -EINVAL);
    ck_assert(!wire_hash_is_zero(&hash));
    back.b[31] ^= 1;
    ck_assert(!wire_hash_eq(&hash, &back));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *file = tcase_create("file");
    tcase_add_checked_fixture(file, make_dir, remove_dir);
    tcase_add_test(file, a_key_made_once_is_read_again);
    tcase_add_test(file, the_file_is_the_seed_and_the_key_that_of_rfc_8032);
    tcase_add_test(file, a_file_that_others_may_read_is_refused);
    tcase_add_test(file, a_file_of_another_user_is_refused);
    tcase_add_test(file, a_file_cut_at_any_byte_is_refused);
    tcase_add_test(file, a_file_that_is_no_key_is_refused);
    tcase_add_test(file, a_directory_that_cannot_be_written_is_an_error_of_one_line);
    tcase_add_test(file, processes_that_start_at_once_get_the_same_key);
    suite_add_tcase(suite, file);
    TCase *text = tcase_create("text");
    tcase_add_test(text, an_id_is_forty_bits_of_the_key_as_crockford_writes_them);
    tcase_add_test(text, a_key_in_text_comes_back);
    tcase_add_test(text, a_blob_is_named_as_b2sum_names_it);
    suite_add_tcase(suite, text);
    return run_suite(suite);
}
