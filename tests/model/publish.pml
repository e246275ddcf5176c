/* How tables reach workers and when they may go: the protocol of dataplane/pipeline/qsbr.hpp and
 * dataplane/manager/generations.cpp, operation by operation. run.py explores every state of it.
 *
 * Theory of operation. One manager publishes, confirms, reverts at a deadline and collects; two workers take bursts; the
 * process dies at any step and starts again from what the descriptor store holds. Every load and store of memory that
 * threads share is a step of its own; what a thread does to its own memory is joined to the step before, nobody can
 * tell. Spin runs steps in one global order, which is what seq_cst promises. A release store is weaker, it may become
 * visible after later loads of its thread: with STORE_BUFFERS it waits in a buffer that drains at any time. A worker may
 * stand still anywhere and for ever: nothing in the model makes it go on.
 *
 * A node is known by its sequence. That is u64 in the code and never wraps; here it is a residue, and "older" is the
 * serial comparison of RFC 1982, exact while the numbers compared are less than half a round apart. (A node may outlive
 * half a round if each time that collect() looks a worker has just come online; such runs are cut, see ROOM.) A flow's policy_seq is 32 bits in the code and does wrap; here it is mod 4. Both skip 0 alike.
 *
 * Four parts, each explored whole:
 *   READERS  workers with their store buffers; 3 unretired nodes let a worker be late by two switches
 *   FOUR     the bound of 4 unretired nodes, with publishers that do not wait; stores are visible at once
 *   LIFE     what is confirmed, reverted at the deadline, and kept across a death of the process
 *   FLOWS    the stamps of flows
 * READERS and LIFE have the death of the process; workers of LIFE stay online as long as it lives.
 *
 * What must hold is asserted at the step that would break it. Each BUG_... is a mistake that has to be found; each
 * SHOW_... claims that something worth seeing never happens, and has to be refuted.
 */

#ifdef READERS
#define UNRETIRED_MAX 3  /* kUnretiredMax: nodes that are not freed yet, the running one included */
#define MASK 7           /* sequences are mod MASK + 1 */
#define STORE_BUFFERS
#endif
#ifdef FOUR
#define UNRETIRED_MAX 4
#define MASK 15
#endif
#ifdef LIFE
#define UNRETIRED_MAX 2
#define MASK 7
#endif
#ifdef FLOWS
#define UNRETIRED_MAX 2
#define MASK 15
#endif

#define WORKERS 2
#define NIL 0      /* multiples of 4 are no sequences: their policy_seq would be 0 */
#define OFFLINE 16 /* a slot's values 0 and 1 in the code, where sequences begin at 2 */
#define FRESH 17
#define POLICY_SEQ(s) ((s) & 3)
#define NEXT(s) ((POLICY_SEQ((s) + 1) == 0 -> (s) + 2 : (s) + 1) & MASK)
#define HALF ((MASK + 1) / 2)
#define OLDER(a, b) (((a) != (b)) && ((((b) - (a)) & MASK) < HALF))
#ifdef BUG_COMPARE_WRAPS
#define BEFORE(slot, limit) ((slot) == FRESH || ((slot) != OFFLINE && (slot) < (limit)))
#else
#define BEFORE(slot, limit) ((slot) == FRESH || ((slot) != OFFLINE && OLDER(slot, limit)))
#endif

/* --- memory of the process: lost when it dies */
byte current = NIL;
bit publish_buffered;      /* with BUG_PUBLISH_IS_RELEASE: the store of current that nobody sees yet */
byte publish_buffer;
byte seen[WORKERS] = OFFLINE;
bit buffered[WORKERS];     /* a release store of seen[] that nobody else sees yet */
byte buffer[WORKERS];
bit live[MASK + 1];        /* nodes that are not freed */
byte unretired;
bit unmade;                /* the newest node: its fields are not written yet */
byte sequence;             /* from here on the manager's own */
bit waiting;               /* a publisher waits for `adopted` of waiting_for */
byte waiting_for;
byte running, previous;    /* generations, by small numbers; LIFE */
bit deadline_set;

/* --- the descriptor store: outlives the process */
byte stored_running, stored_previous;
bit stored_deadline;

/* --- what only the claims know */
bit outdated[MASK + 1];    /* nodes: `adopted` was said of a newer one */
#define GENERATIONS 5      /* running, previous, those of the store: one more is always unused */
bit superseded[GENERATIONS + 1], unconfirmed[GENERATIONS + 1];
byte judged;               /* sequence that worker 0's one flow was judged under; 0 = no flow */
bit dead[WORKERS + 1];
bit wrapped;
#define ALL_ALIVE (!dead[0] && !dead[1] && !dead[2])

inline drain(w) {
    if
    :: buffered[w] -> seen[w] = buffer[w]; buffered[w] = 0; buffer[w] = 0
    :: else
    fi
}
#ifdef STORE_BUFFERS
#define STORE_RELEASE(w, value) drain(w); buffer[w] = value; buffered[w] = 1
#else
#define STORE_RELEASE(w, value) seen[w] = value
#endif

#define ROOM (unretired < UNRETIRED_MAX && !live[(NEXT(sequence) - HALF) & MASK] && !live[(NEXT(sequence) - HALF - 1) & MASK])

/* ------------------------------------------------------------------------------------------------------------ worker */

/* The burst, at its latest moment: the tables are there, whole, the same as at its start, and nothing newer was said to
 * be adopted. */
#define USE_TABLES assert(live[held]); assert(!(unmade && held == sequence)); assert(held == last); assert(!outdated[held])

proctype Worker(byte w) {
    byte held = NIL, last = NIL;
start:
    {
        ALL_ALIVE;
        do
        ::
#ifdef BUG_ONLINE_IS_RELEASE
        d_step { STORE_RELEASE(w, FRESH) };
#else
        d_step { drain(w); seen[w] = FRESH };
#endif
        do
        :: d_step {  /* Qsbr::current */
            held = current;
            assert(held == NIL || live[held]);
            assert(held == NIL || last == NIL || !OLDER(held, last));  /* a worker only moves forward */
            last = held
        };
            if
            :: held != NIL ->
#ifdef BUG_QUIESCE_FOR_A_NEWER_NODE
                /* "Seen" what is published now, while the burst goes on with what it took. To say it early of the node that
                 * it holds does no harm: that promises to use nothing older. */
                d_step { STORE_RELEASE(w, current) };
#endif
#ifdef BUG_TAKES_TWICE_IN_A_BURST
                held = current;
#endif
#ifdef FLOWS
                if
                :: w == 0 -> d_step {
                    /* A flow is current if its stamp says so, and then that must be true. Else it is judged anew. */
                    if
                    :: judged != 0 && POLICY_SEQ(judged) == POLICY_SEQ(held) -> assert(judged == held)
                    :: else -> judged = held
                    fi
                }
                :: true
                fi;
#endif
                d_step { USE_TABLES; STORE_RELEASE(w, held); held = NIL }  /* the last use, then Qsbr::quiesce */
            :: else
            fi
#ifndef LIFE
        :: d_step { STORE_RELEASE(w, OFFLINE); last = NIL };
            break
#endif
        od
        od
    } unless {
        dead[w]
    };
    d_step { dead[w] = 0; held = NIL; last = NIL };
    goto start
}

/* ----------------------------------------------------------------------------------------------------------- manager */

/* Generations::collect: each node that was left, oldest first; Qsbr::readers_before looks at slot by slot. A node was
 * left at the sequence that follows its own. */
inline collect() {
    d_step { i = sequence; next_live(); late = 0 };
    do
    :: i == sequence -> break
    :: i != sequence ->
        d_step { late = BEFORE(seen[0], NEXT(i)) };
        d_step {
            late = late || BEFORE(seen[1], NEXT(i));
#ifdef BUG_FREES_WITHOUT_WAITING
            late = 0;
#endif
#ifdef BUG_OFF_BY_ONE
            late = BEFORE(seen[0], i) || BEFORE(seen[1], i);
#endif
            if
            :: !late -> live[i] = 0; outdated[i] = 0; unretired--
            :: else
            fi;
            next_live();
            late = 0
        }
#ifdef BUG_GIVES_A_STALLED_WORKER_UP
        ;
        if
        :: unretired == UNRETIRED_MAX -> d_step { i = NEXT(sequence); do :: !live[i] -> i = NEXT(i) :: else -> break od;
                                                  live[i] = 0; outdated[i] = 0; unretired--; i = sequence }
        :: true
        fi
#endif
    od;
    i = 0
}

/* The next node that is not freed; the running one, if there is no other. */
inline next_live() {
    i = (i + 1) & MASK;
    do
    :: !live[i] && i != sequence -> i = (i + 1) & MASK
    :: else -> break
    od
}

/* Generations::switch_to. Precondition: unretired < UNRETIRED_MAX. A transition (tell_time) is a switch to the
 * generation that runs already: for workers and nodes the same steps. */
inline make_node(generation) {
#ifdef SHOW_ADOPTED_AFTER_WRAP
    wrapped = wrapped || (NEXT(sequence) < sequence);
#endif
#ifdef BUG_POLICY_SEQ_ZERO
    sequence = (sequence + 1) & MASK;
#else
    sequence = NEXT(sequence);
#endif
    assert(POLICY_SEQ(sequence) != 0);  /* a flow's 0 means "never judged" */
    assert(!live[sequence]);
    live[sequence] = 1;
    unretired++;
#ifndef BUG_IDLE_FLOWS_LIVE_ON
    /* What 32 bits rest on: an idle flow ends before policy_seq has gone round once (three switches here). */
    if
    :: judged != 0 && ((sequence - judged) & MASK) >= 4 -> judged = 0
    :: else
    fi;
#endif
#ifdef LIFE
    if
    :: !deadline_set && running != 0 -> previous = running
    :: else
    fi;
#endif
    running = generation
}

inline switch_to(generation) {
#ifdef BUG_POINTER_BEFORE_SEQUENCE
    d_step { make_node(generation); unmade = 1; current = sequence };
    unmade = 0
#else
#ifdef BUG_PUBLISH_IS_RELEASE
    d_step {
        make_node(generation);
        if
        :: publish_buffered -> current = publish_buffer
        :: else
        fi;
        publish_buffered = 1; publish_buffer = sequence
    }
#else
    d_step { make_node(generation); current = sequence }
#endif
#endif
}

/* Manager::record: one message to the service manager. */
#define RECORDED stored_running = running; stored_previous = previous; stored_deadline = deadline_set
#ifdef LIFE
#define RECORD RECORDED; forget_others()
/* What is claimed of a generation that is in nobody's hands any more, is claimed of nothing: fewer states to tell apart. */
inline forget_others() {
    i = 1;
    do
    :: i <= GENERATIONS ->
        if
        :: i != running && i != previous -> superseded[i] = 0; unconfirmed[i] = 0
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}
#else
#define RECORD RECORDED
#endif

inline offer() {
    d_step {
        chosen = 1;
#ifdef LIFE
        do
        :: chosen == running || chosen == previous || chosen == stored_running || chosen == stored_previous -> chosen++
        :: else -> break
        od;
        superseded[chosen] = 0; unconfirmed[chosen] = 0
#endif
    };
    switch_to(chosen);
    chosen = 0;
#ifdef LIFE
    if
    :: deadline_set = 0
    :: previous != 0 -> d_step { deadline_set = 1; unconfirmed[running] = 1 }  /* confirm_within was given */
    fi;
#ifdef BUG_RECORD_IN_PARTS
    stored_running = running;
#endif
#endif
    d_step {
#ifndef BUG_ANSWERS_BEFORE_RECORD
        RECORD;
#endif
        late = 0;
#ifndef FOUR
        waiting = 1; waiting_for = sequence
#endif
    }
}

inline answer_pending() {
    d_step { late = BEFORE(seen[0], waiting_for) };
    d_step {
        late = late || BEFORE(seen[1], waiting_for);
        if
        :: !late ->
            i = 0;
            do
            :: i <= MASK -> outdated[i] = outdated[i] || (live[i] && OLDER(i, waiting_for)); i++
            :: else -> break
            od;
#ifdef LIFE
            i = 1;
            do
            :: i <= GENERATIONS ->  /* unless something was published since: then that may be in force as well */
                superseded[i] = superseded[i] || (waiting_for == sequence && i != running &&
                                                  (i == previous || i == stored_running || i == stored_previous));
                i++
            :: else -> break
            od;
#endif
            i = 0; waiting = 0; waiting_for = 0;
#ifdef SHOW_ADOPTED_AFTER_WRAP
            assert(!wrapped);
#endif
        :: else
        fi
    };
    if
    :: late -> d_step { late = 0; waiting = 0; waiting_for = 0 }  /* past its patience: `stalled` */
    :: late -> late = 0                                           /* not yet */
    :: !late ->
#ifdef BUG_ANSWERS_BEFORE_RECORD
        d_step { RECORD }
#else
        skip
#endif
    fi
}

inline revert_at_deadline() {
    d_step { chosen = previous; superseded[chosen] = 0 };
#ifdef BUG_REVERT_KEEPS_ITS_SEQUENCE
    d_step {
        current = (POLICY_SEQ(sequence - 1) == 0 -> sequence - 2 : sequence - 1) & MASK;
        running = chosen
    };
#else
    switch_to(chosen);
#endif
    d_step { previous = 0; deadline_set = 0; chosen = 0; RECORD };
#ifdef SHOW_REVERTED
    assert(false)
#endif
}

proctype Manager() {
    byte i, chosen;
    bit late;
start:
    {
        ALL_ALIVE;
        /* restore: what the store says ran is what was acknowledged last or something newer, and a generation that
         * nobody has confirmed has its way back. */
        atomic {
            running = 0; previous = 0; sequence = 1; deadline_set = 0; waiting = 0; waiting_for = 0;
            assert(!superseded[stored_running]);
            assert(!unconfirmed[stored_running] || (stored_deadline && stored_previous != 0))
        };
        if
        :: stored_running != 0 ->
            switch_to(stored_running);
            d_step { previous = stored_previous; deadline_set = stored_deadline }
        :: else
        fi;
        do
        /* an offer, a deadline or the tick: each begins with collect() */
        :: collect();
            if
            :: true
            :: !waiting && unretired == UNRETIRED_MAX -> skip  /* refused: too_many_unretired */
#ifdef SHOW_REFUSED
                ; assert(false)
#endif
            :: !waiting && ROOM -> offer()
#ifdef LIFE
            :: deadline_set && previous != 0 && ROOM -> revert_at_deadline()
#endif
            fi
        :: waiting -> answer_pending()
#ifdef LIFE
        :: deadline_set -> d_step { deadline_set = 0; unconfirmed[running] = 0 };  /* confirm, by the publisher */
            d_step { RECORD }
#endif
        od
    } unless {
        dead[WORKERS]
    };
#ifdef SHOW_RESTARTED_UNCONFIRMED
    assert(!stored_deadline);
#endif
    d_step { dead[WORKERS] = 0; i = 0; chosen = 0; late = 0 };
    goto start
}

/* ------------------------------------------------------------------------------------------- hardware, and its failing */

proctype StoreBuffers() {
    do
    :: d_step { buffered[0] -> drain(0) }
    :: d_step { buffered[1] -> drain(1) }
    :: d_step { publish_buffered -> current = publish_buffer; publish_buffered = 0; publish_buffer = 0 }
    od
}

/* The process dies: its memory is gone, its threads begin again, the store remembers. */
proctype Crash() {
    byte i;
    do
    :: d_step {
        ALL_ALIVE ->
        dead[0] = 1; dead[1] = 1; dead[2] = 1;
        current = NIL; publish_buffered = 0; publish_buffer = 0; unmade = 0; unretired = 0; judged = 0;
        i = 0;
        do
        :: i < WORKERS -> seen[i] = OFFLINE; buffered[i] = 0; buffer[i] = 0; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i <= MASK -> live[i] = 0; outdated[i] = 0; i++
        :: else -> break
        od;
        running = 0; previous = 0; sequence = 1; deadline_set = 0; waiting = 0; waiting_for = 0;
        i = 0
    }
    od
}

init {
    atomic {
        run Manager(); run Worker(0); run Worker(1);
#if defined(READERS) || defined(LIFE)
        run Crash();
#endif
#ifdef STORE_BUFFERS
        run StoreBuffers()
#endif
    }
}
