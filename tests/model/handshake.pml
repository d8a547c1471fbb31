/* The handshake of wire/README.md between two honest peers, A and B, on a network that belongs to
 * an attacker, M. What is checked, in which scenes, and how to read a trail: README.md beside this.
 *
 * There are no channels: what is sent is known to the attacker, and what is received comes from
 * him. He hands a session any message that he can make at that moment, or none. What he can make is
 * what the macros below say: he copies, mixes and builds, signs with keys that he has, opens and
 * seals with keys that he can compute; he breaks no hash, signature, seal or Diffie-Hellman. What a
 * session refuses changes nothing but that session, so refusals are left out.
 *
 * A hello is its fields; a session id is the two hellos it is the hash of; a key is the secret, the
 * two ephemerals, the role and the session id it is the hash of. Two are equal when these are.
 *
 * Scenes: -DTWICE, else both peers in both roles; -DINVITE; -DOLDER. What the attacker has:
 * -DOUTSIDER, -DREVEAL, -DSTOLEN_KEY, -DTHIEF. Weakenings: -DNO_...; see README.md. */

#define A    0
#define B    1
#define M    2
#define NONE 255

/* What the two call a mesh secret: the tag of a hello is the hash of one, so it has its number. */
#define PRESENT 1
#define OLDER_ONE 2
#define TOKEN   3

#define INITIATOR 1
#define RESPONDER 2

/* --- scenes: who the sessions are of, and which secrets there are ----------------------------- */

#ifdef THRICE
#define N 6
#define SELF(s) ((s) % 2 == 0 -> A : B)
#define ROLE(s) (((s) % 2 == 0) == ((s) < 4) -> INITIATOR : RESPONDER) /* A B A B, and B A */
#else
#define N 4
#ifdef TWICE /* A dials B, and dials B again */
#define SELF(s) ((s) < 2 -> A : B)
#define ROLE(s) ((s) < 2 -> INITIATOR : RESPONDER)
#else /* they dial each other */
#define SELF(s) ((s) == 0 || (s) == 3 -> A : B)
#define ROLE(s) ((s) % 2 == 0 -> INITIATOR : RESPONDER)
#endif
#endif

/* What a session of an initiator is proved with, and whether a responder answers a tag. */
#ifdef INVITE /* A has an invitation of B and is in no mesh */
#define SECRET(s)      (SELF(s) == A -> TOKEN : PRESENT)
#define ANSWERS(s, t)  (SELF(s) == B && (t) != OLDER_ONE)
#else
#ifdef OLDER /* M was banned; A was away and has not heard of it */
#define SECRET(s)      (SELF(s) == A -> OLDER_ONE : PRESENT)
#define ANSWERS(s, t)  ((t) == OLDER_ONE || (SELF(s) == B && (t) == PRESENT))
#else
#define SECRET(s)      PRESENT
#define ANSWERS(s, t)  ((t) == PRESENT)
#endif
#endif

/* --- what the attacker has -------------------------------------------------------------------- */

bool is_thief_done;      /* -DTHIEF: from then on he has both keys and every secret of the mesh */
bool is_revealed[N];     /* -DREVEAL: the ephemeral secret of this finished session is known */

#ifdef OUTSIDER
#define KNOWS_SECRET(x) is_thief_done
#else
#ifdef INVITE /* somebody read the invitation over A's shoulder */
#define KNOWS_SECRET(x) ((x) == TOKEN || is_thief_done)
#else
#ifdef OLDER
#define KNOWS_SECRET(x) ((x) == OLDER_ONE || is_thief_done)
#else
#define KNOWS_SECRET(x) true
#endif
#endif
#endif

#ifdef STOLEN_KEY
#define HAS_KEY(x) ((x) == M || (x) == A || is_thief_done)
#else
#define HAS_KEY(x) ((x) == M || is_thief_done)
#endif

/* --- weakenings ------------------------------------------------------------------------------- */

#ifdef NO_FRESH_EPHEMERAL
#define EPHEMERAL(s) SELF(s)
#else
#define EPHEMERAL(s) (s)
#endif
#ifdef NO_FRESH_NONCE
#define NONCE(s) SELF(s)
#else
#define NONCE(s) (s)
#endif
#define OF_M N /* his own ephemeral and nonce: he needs only one of each */

#ifdef NO_HELLO_SIGNATURE
#define IS_HELLO_SIGNED false
#else
#define IS_HELLO_SIGNED true
#endif
#ifdef NO_PROOF_SIGNATURE
#define IS_PROOF_SIGNED false
#else
#define IS_PROOF_SIGNED true
#endif
#ifdef NO_SEAL
#define IS_PROOF_SEALED false
#else
#define IS_PROOF_SEALED true
#endif
#ifdef NO_ROLE
#define IS_ROLE_HASHED false
#else
#define IS_ROLE_HASHED true
#endif
#ifdef NO_SECRET_IN_KEY
#define IS_SECRET_IN_KEY false
#else
#define IS_SECRET_IN_KEY true
#endif
#ifdef NO_EXCHANGE_IN_KEY
#define IS_EXCHANGE_IN_KEY false
#else
#define IS_EXCHANGE_IN_KEY true
#endif
#ifdef NO_SESSION_IN_PROOF
#define IS_SESSION_IN_PROOF false
#else
#define IS_SESSION_IN_PROOF true
#endif
#ifdef NO_IDENTITY_IN_SESSION
#define IS_IDENTITY_IN_SESSION false
#else
#define IS_IDENTITY_IN_SESSION true
#endif
#ifdef NO_VERSION_HASHED /* neither the hello's signature nor the session id covers it */
#define IS_VERSION_HASHED false
#else
#define IS_VERSION_HASHED true
#endif
#ifdef OWN_KEY_ALLOWED
#define REFUSES_OWN_KEY false
#else
#define REFUSES_OWN_KEY true
#endif

/* --- sessions --------------------------------------------------------------------------------- */

#define NOT_BEGUN  0
#define WAIT_HELLO 1
#define WAIT_PROOF 2
#define PROVED     3

typedef hello {
    byte key = NONE;
    byte ephemeral;
    byte nonce;
    byte version;
    byte tag
};

typedef session {
    byte state;
    bool has_said_hello;
    bool has_given_proof;
    byte secret;
    hello ours;
    hello theirs;
    byte partner = NONE /* whose session this one is the other end of, once it is proved */
};

session S[N];

/* --- what can be equal ------------------------------------------------------------------------ */

#define SAME_HELLO(x, y)                                                                           \
    ((!IS_IDENTITY_IN_SESSION || x.key == y.key) && x.ephemeral == y.ephemeral &&                  \
     x.nonce == y.nonce && x.tag == y.tag && (!IS_VERSION_HASHED || x.version == y.version))

#define SAME_SESSION_CROSSED(t, s)                                                                 \
    (SAME_HELLO(S[t].ours, S[s].theirs) && SAME_HELLO(S[t].theirs, S[s].ours))
#define SAME_SESSION_ALIKE(t, s)                                                                   \
    (SAME_HELLO(S[t].ours, S[s].ours) && SAME_HELLO(S[t].theirs, S[s].theirs))
/* The order of the two hellos is that of the roles. */
#define SAME_SESSION(t, s)                                                                         \
    (((ROLE(t) != ROLE(s) || !IS_ROLE_HASHED) && SAME_SESSION_CROSSED(t, s)) ||                    \
     ((ROLE(t) == ROLE(s) || !IS_ROLE_HASHED) && SAME_SESSION_ALIKE(t, s)))

#define SAME_EXCHANGE(t, s)                                                                        \
    ((S[t].ours.ephemeral == S[s].ours.ephemeral &&                                                \
      S[t].theirs.ephemeral == S[s].theirs.ephemeral) ||                                           \
     (S[t].ours.ephemeral == S[s].theirs.ephemeral &&                                              \
      S[t].theirs.ephemeral == S[s].ours.ephemeral))

/* Whether t's key to send with is the key that s receives with. */
#define SAME_KEY(t, s)                                                                             \
    ((ROLE(t) != ROLE(s) || !IS_ROLE_HASHED) &&                                                    \
     (!IS_SECRET_IN_KEY || S[t].secret == S[s].secret) &&                                          \
     (!IS_EXCHANGE_IN_KEY || SAME_EXCHANGE(t, s)) && SAME_SESSION(t, s))

/* Whether what t signed in its proof is what s expects its peer to sign. */
#define SAME_SIGNED(t, s)                                                                          \
    (SELF(t) == S[s].theirs.key && (ROLE(t) != ROLE(s) || !IS_ROLE_HASHED) &&                      \
     (!IS_SESSION_IN_PROOF || SAME_SESSION(t, s)))

/* --- what the attacker can make --------------------------------------------------------------- */

#define REVEALED(r, x) (is_revealed[r] && S[r].ours.ephemeral == (x))
#ifdef THRICE
#define ANY(P, x) (P(0, x) || P(1, x) || P(2, x) || P(3, x) || P(4, x) || P(5, x))
#else
#define ANY(P, x) (P(0, x) || P(1, x) || P(2, x) || P(3, x))
#endif
#ifdef THRICE
#define ANY_REVEALED(x)                                                                            \
    (REVEALED(0, x) || REVEALED(1, x) || REVEALED(2, x) || REVEALED(3, x) || REVEALED(4, x) ||     \
     REVEALED(5, x))
#else
#define ANY_REVEALED(x) (REVEALED(0, x) || REVEALED(1, x) || REVEALED(2, x) || REVEALED(3, x))
#endif
#define HAS_EPHEMERAL(x) ((x) == OF_M || ANY_REVEALED(x))

/* Both keys of a session: its directions differ in nothing that is secret. */
#define HAS_SESSION_KEY(s)                                                                         \
    ((!IS_SECRET_IN_KEY || KNOWS_SECRET(S[s].secret)) &&                                           \
     (!IS_EXCHANGE_IN_KEY || HAS_EPHEMERAL(S[s].ours.ephemeral) ||                                 \
      HAS_EPHEMERAL(S[s].theirs.ephemeral)))
#define CAN_OPEN(s) (!IS_PROOF_SEALED || HAS_SESSION_KEY(s))

/* Proofs that were given: handed on as they are, or opened for the signature in them. The session
 * itself is among the givers: its own proof may come back to it. */
#define FITS(t, s)                                                                                 \
    (S[t].has_given_proof && (!IS_PROOF_SEALED || SAME_KEY(t, s)) &&                               \
     (!IS_PROOF_SIGNED || SAME_SIGNED(t, s)))
#define LENDS(t, s) (S[t].has_given_proof && CAN_OPEN(t) && SAME_SIGNED(t, s))

#define CAN_SIGN(s)  (!IS_PROOF_SIGNED || HAS_KEY(S[s].theirs.key) || ANY(LENDS, s))
#define CAN_PROVE(s) (ANY(FITS, s) || (CAN_OPEN(s) && CAN_SIGN(s)))

/* --- hellos ----------------------------------------------------------------------------------- */

inline say_hello(s, with)
{
    S[s].ours.key = SELF(s);
    S[s].ours.ephemeral = EPHEMERAL(s);
    S[s].ours.nonce = NONCE(s);
    S[s].ours.version = 2;
    S[s].ours.tag = with;
    S[s].secret = with;
    S[s].has_said_hello = true;
    printf("session %d of %c says hello, tag %d\n", s, 65 + SELF(s), with)
}

/* Whose key s talks to, as far as the hello tells. */
#ifdef NO_BAN
#define IS_WELCOME_KEY(s, k) true
#else
#ifdef OLDER
#define IS_WELCOME_KEY(s, k) (SELF(s) != B || (k) != M)
#else
#define IS_WELCOME_KEY(s, k) true
#endif
#endif
#if defined(INVITE) && !defined(NO_INVITER)
#define IS_DIALLED_KEY(s, k) (ROLE(s) != INITIATOR || SELF(s) != A || (k) == B)
#else
#define IS_DIALLED_KEY(s, k) true
#endif
#define TAKES_KEY(s, k)                                                                            \
    ((!REFUSES_OWN_KEY || (k) != SELF(s)) && IS_WELCOME_KEY(s, k) && IS_DIALLED_KEY(s, k))
#define TAKES_TAG(s, t) (ROLE(s) == INITIATOR -> (t) == S[s].secret : ANSWERS(s, t))

/* The hello of t as it was sent. */
#define CAN_COPY(t, s)                                                                             \
    (S[t].has_said_hello && (ROLE(t) != ROLE(s) || !IS_ROLE_HASHED) && TAKES_KEY(s, SELF(t)) &&    \
     TAKES_TAG(s, S[t].ours.tag))
#define CAN_FORGE(k, s) ((HAS_KEY(k) || !IS_HELLO_SIGNED) && TAKES_KEY(s, k))

inline copy(t)
{
    them.key = S[t].ours.key;
    them.ephemeral = S[t].ours.ephemeral;
    them.nonce = S[t].ours.nonce;
    them.tag = S[t].ours.tag;
    them.version = S[t].ours.version;
    if
    :: !IS_VERSION_HASHED || !IS_HELLO_SIGNED -> them.version = 1
    :: true
    fi
}

/* Of his making: with his own ephemeral and nonce, or with somebody's that he has seen. A hello
 * with one of somebody's and one of his own is like no other hello, as one with both of his own is,
 * but for what he can do with it; -DMIXING tries those too. His version is as high as anybody's: by
 * a lower one he fools himself only, unless he writes in another's name. */
inline forge(k, s)
{
    them.key = k;
    if
    :: them.ephemeral = OF_M; them.nonce = OF_M
    :: S[0].has_said_hello -> them.ephemeral = S[0].ours.ephemeral; them.nonce = S[0].ours.nonce
    :: S[1].has_said_hello -> them.ephemeral = S[1].ours.ephemeral; them.nonce = S[1].ours.nonce
    :: S[2].has_said_hello -> them.ephemeral = S[2].ours.ephemeral; them.nonce = S[2].ours.nonce
    :: S[3].has_said_hello -> them.ephemeral = S[3].ours.ephemeral; them.nonce = S[3].ours.nonce
#ifdef THRICE
    :: S[4].has_said_hello -> them.ephemeral = S[4].ours.ephemeral; them.nonce = S[4].ours.nonce
    :: S[5].has_said_hello -> them.ephemeral = S[5].ours.ephemeral; them.nonce = S[5].ours.nonce
#endif
    fi;
#ifdef MIXING
    if
    :: them.nonce = OF_M
    :: S[0].has_said_hello -> them.nonce = S[0].ours.nonce
    :: S[1].has_said_hello -> them.nonce = S[1].ours.nonce
    :: S[2].has_said_hello -> them.nonce = S[2].ours.nonce
    :: S[3].has_said_hello -> them.nonce = S[3].ours.nonce
#ifdef THRICE
    :: S[4].has_said_hello -> them.nonce = S[4].ours.nonce
    :: S[5].has_said_hello -> them.nonce = S[5].ours.nonce
#endif
    fi;
#endif
    them.version = 2;
    if
    :: k != M || !IS_VERSION_HASHED -> them.version = 1
    :: true
    fi;
    if
    :: TAKES_TAG(s, PRESENT) -> them.tag = PRESENT
    :: TAKES_TAG(s, OLDER_ONE) -> them.tag = OLDER_ONE
    :: TAKES_TAG(s, TOKEN) -> them.tag = TOKEN
    fi
}

inline hear_hello(s)
{
    if
    :: CAN_COPY(0, s) -> copy(0)
    :: CAN_COPY(1, s) -> copy(1)
    :: CAN_COPY(2, s) -> copy(2)
    :: CAN_COPY(3, s) -> copy(3)
#ifdef THRICE
    :: CAN_COPY(4, s) -> copy(4)
    :: CAN_COPY(5, s) -> copy(5)
#endif
    :: CAN_FORGE(A, s) -> forge(A, s)
    :: CAN_FORGE(B, s) -> forge(B, s)
    :: CAN_FORGE(M, s) -> forge(M, s)
    fi;
    S[s].theirs.key = them.key;
    S[s].theirs.ephemeral = them.ephemeral;
    S[s].theirs.nonce = them.nonce;
    S[s].theirs.version = them.version;
    S[s].theirs.tag = them.tag;
    S[s].state = WAIT_PROOF;
    printf("session %d of %c hears a hello of %c: ephemeral %d, nonce %d, version %d, tag %d\n", s,
           65 + SELF(s), (them.key == M -> 77 : 65 + them.key), them.ephemeral, them.nonce,
           them.version, them.tag);
    them.key = 0;
    them.ephemeral = 0;
    them.nonce = 0;
    them.version = 0;
    them.tag = 0
}

/* --- what must hold --------------------------------------------------------------------------- */

/* One of these is false when the property of that name does not hold. */
bool self_ok = true;      /* nobody ends up with himself, or with his own words */
bool member_ok = true;    /* who completes a session has its secret, and is not banned */
bool inviter_ok = true;   /* who joins is taken in by the inviter and nobody else */
bool agreement_ok = true; /* the peer's key belongs to somebody who means this session, this peer */
bool replay_ok = true;    /* and means it once */
bool version_ok = true;   /* both speak the highest version that both can */
bool secrecy_ok = true;   /* the attacker has no key of a session between honest peers */
bool done_ok = true;      /* -DASK_DONE: not everybody who can be proved is: SPIN must object */

/* Whether t is the other end of s, in all but the version. */
#define IS_OTHER_END(t, s)                                                                         \
    (SELF(t) == S[s].theirs.key && SELF(s) == S[t].theirs.key && ROLE(t) != ROLE(s) &&             \
     S[t].state >= WAIT_PROOF && S[t].ours.ephemeral == S[s].theirs.ephemeral &&                   \
     S[t].ours.nonce == S[s].theirs.nonce && S[s].ours.ephemeral == S[t].theirs.ephemeral &&       \
     S[s].ours.nonce == S[t].theirs.nonce && S[t].secret == S[s].secret)

#define AGREED_VERSION(s)                                                                          \
    (S[s].ours.version < S[s].theirs.version -> S[s].ours.version : S[s].theirs.version)

inline look_at_secrecy()
{
    u = 0;
    do
    :: u < N ->
        if
        :: S[u].partner != NONE && !is_revealed[u] && !is_revealed[S[u].partner] &&
           HAS_SESSION_KEY(u) -> secrecy_ok = false
        :: else
        fi;
        u++
    :: else -> break
    od;
    u = 0;
    assert(secrecy_ok)
}

bool is_taken[N]; /* by a session that has this one for its other end */

/* Of honest peers with each other, as far as the scene has them do so. */
#define IS_MET(s) (S[s].partner != NONE)
#if defined(INVITE) || defined(OLDER)
#define ALL_DONE (IS_MET(0) && IS_MET(1))
#else
#ifdef THRICE
#define ALL_DONE (IS_MET(0) && IS_MET(1) && IS_MET(2) && IS_MET(3) && IS_MET(4) && IS_MET(5))
#else
#define ALL_DONE (IS_MET(0) && IS_MET(1) && IS_MET(2) && IS_MET(3))
#endif
#endif

/* s has checked its peer's proof. Whose key the attacker has is he; who has a secret that the
 * attacker does not have is honest, whatever his key. */
inline judge(s)
{
    d_step {
#ifndef SELF_IS_FINE
        self_ok = S[s].theirs.key != SELF(s);
        assert(self_ok);
#endif
        member_ok = !HAS_KEY(S[s].theirs.key) || KNOWS_SECRET(S[s].secret);
#ifdef OLDER
        member_ok = member_ok && (SELF(s) != B || S[s].theirs.key != M);
#endif
        assert(member_ok);
#ifdef INVITE
        inviter_ok = ROLE(s) != INITIATOR || SELF(s) != A || S[s].theirs.key == B;
        assert(inviter_ok);
#endif
        if
        :: !HAS_KEY(S[s].theirs.key) ->
            u = 0;
            agreement_ok = false;
            replay_ok = false;
            do
            :: u < N && IS_OTHER_END(u, s) && !is_taken[u] ->
                agreement_ok = true;
                replay_ok = true;
                break
            :: u < N && IS_OTHER_END(u, s) && is_taken[u] ->
                agreement_ok = true;
                u++
            :: u < N && !IS_OTHER_END(u, s) -> u++
            :: u >= N -> break
            od;
            assert(agreement_ok);
            assert(replay_ok);
            is_taken[u] = true;
            S[s].partner = u;
            version_ok = AGREED_VERSION(s) == 2 && AGREED_VERSION(u) == 2;
            assert(version_ok);
            u = 0
        :: else
        fi;
        printf("session %d of %c is proved\n", s, 65 + SELF(s));
        look_at_secrecy();
#ifdef ASK_DONE
        done_ok = !ALL_DONE;
        assert(done_ok)
#endif
    }
}

/* --- the peers -------------------------------------------------------------------------------- */

hidden byte u;
hello them;

inline may_be_revealed(s)
{
#ifdef REVEAL
    if
    :: atomic {
        is_revealed[s] = true;
        printf("the ephemeral secret of session %d is revealed\n", s);
        d_step { look_at_secrecy() }
    }
    :: true
    fi
#else
    skip
#endif
}

proctype initiator(byte s)
{
    atomic {
        say_hello(s, SECRET(s));
        S[s].state = WAIT_HELLO
    };
    atomic { hear_hello(s) };
    atomic {
        CAN_PROVE(s);
        S[s].state = PROVED;
        S[s].has_given_proof = true;
        judge(s)
    };
    may_be_revealed(s)
}

proctype responder(byte s)
{
    atomic {
        hear_hello(s);
        say_hello(s, S[s].theirs.tag);
        S[s].has_given_proof = true;
#ifdef NO_WAIT_FOR_PROOF
        S[s].state = PROVED;
        judge(s)
#endif
    };
    atomic {
        CAN_PROVE(s);
        S[s].state = PROVED;
#ifndef NO_WAIT_FOR_PROOF
        judge(s)
#endif
    };
    may_be_revealed(s)
}

#ifdef THIEF
/* Some day, long-term keys and secrets are stolen. What was said before stays closed; who is proved
 * later is not judged, since the thief is everybody. */
proctype thief()
{
    atomic {
        is_thief_done = true;
        printf("keys and secrets are stolen\n");
        d_step { look_at_secrecy() }
    }
}
#endif

init
{
    byte i;
    atomic {
        do
        :: i < N && ROLE(i) == INITIATOR -> run initiator(i); i++
        :: i < N && ROLE(i) == RESPONDER -> run responder(i); i++
        :: i >= N -> break
        od;
#ifdef THIEF
        run thief();
#endif
        i = 0
    }
}
