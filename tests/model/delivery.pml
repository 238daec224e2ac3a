/* One record on its way to a target that may answer, stay silent, or hear late.

   The ledger is durable and each of its transactions is one atomic step under a fence, as
   in the code: whoever claims raises the fence, and an older fence commits nothing (but
   may still send: a frozen process wakes up in the middle of a call). A worker may crash
   between any two steps. A request may arrive and be answered, arrive with its answer
   lost, be lost, or linger in the network and arrive at any later time.

   The table that these configurations must reproduce is in test_delivery_model.py.

   DEDUP    KEYED target | LOOKUP before a repeat | PLAIN target
   ORDER    SOUND | DONE_FIRST (bug: done before the call) | CURSOR_FIRST (bug: the
            source's position is durable before the ledger's row)
   WORKERS  how many there are; with two, a lease may end while its holder still runs
   CRASHES  how many there are at most
   LINGER   requests may linger
   EXPIRES  the target may forget a key once it has used it
   HORIZON  nothing is sent again when the key may be forgotten; it is parked
   LATE     a lingering request may outlive the key (else it arrives before, or never)
   PATIENT  a record is looked up only when no request can linger any more
   PARK     an unknown outcome waits for a person */

#define KEYED 0
#define LOOKUP 1
#define PLAIN 2
#define SOUND 0
#define DONE_FIRST 1
#define CURSOR_FIRST 2

#ifndef DEDUP
#define DEDUP KEYED
#endif
#ifndef ORDER
#define ORDER SOUND
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef CRASHES
#define CRASHES 3
#endif
#ifndef LINGER
#define LINGER 1
#endif
#ifndef EXPIRES
#define EXPIRES 0
#endif
#ifndef HORIZON
#define HORIZON 0
#endif
#ifndef LATE
#define LATE 0
#endif
#ifndef PATIENT
#define PATIENT 0
#endif
#ifndef PARK
#define PARK 0
#endif
#define SENDS 5              /* bound of the model: calls in all lives together */
#define THEFTS (WORKERS - 1) * 2 /* bound of the model: leases that end too early */

mtype = { UNREAD, READY, IN_FLIGHT, UNKNOWN, DONE, PARKED };

/* the ledger: durable */
mtype row = UNREAD;
bool cursor_past = false; /* the source's position lies behind the record */
byte fence = 0;
bool held = false; /* somebody's lease runs; a crash lets it end */

/* the target: durable */
byte effects = 0;
bool remembered = false;
bool forgotten = false;

/* bookkeeping of the model */
byte crashes = 0;
byte sends = 0;
byte thefts = 0;
byte working = WORKERS;
bool gave_up = false; /* the bound SENDS was reached: no statement about rest */
chan network = [2] of { bit };

inline arrive() {
  d_step {
    if
    :: DEDUP == KEYED && remembered -> skip
    :: else -> effects++; remembered = true
    fi
  }
}

active proctype Network() {
end:
  do
  :: atomic { network?_ ->
       if
       :: forgotten && !LATE -> skip
       :: else -> arrive()
       fi }
  od
}

active proctype Memory() {
end:
  if
  :: EXPIRES && remembered -> atomic { remembered = false; forgotten = true }
  fi
}

#define crash \
  if \
  :: atomic { crashes < CRASHES -> crashes++; held = held && fence != mine; goto start } \
  :: skip \
  fi

/* One transaction: rolled back if somebody else claimed since. */
#define commit(change) \
  atomic { \
    if \
    :: fence != mine -> goto start /* LeaseLost */ \
    :: else -> change \
    fi \
  }

/* Nothing is left that a worker would do. */
#define over (row == DONE || row == PARKED || (cursor_past && row == UNREAD) || gave_up)

active [WORKERS] proctype Worker() {
  byte mine;
  bool answered;
  mtype found;

start:
  if
  :: atomic { over -> goto stop }
  :: atomic { !over && !held -> held = true; fence++; mine = fence } /* the claim */
  :: atomic { !over && held && fence != mine && thefts < THEFTS ->
       thefts++; fence++; mine = fence }
  fi;
  crash;

next:
  found = row;
  if
  :: found == UNREAD && !cursor_past ->
       if
       :: ORDER == CURSOR_FIRST -> commit(cursor_past = true); crash; commit(row = READY)
       :: else -> commit(cursor_past = true; row = READY)
       fi;
       crash;
       goto next
  :: found == READY ->
       if
       :: ORDER == DONE_FIRST -> commit(row = DONE)
       :: else -> commit(row = IN_FLIGHT)
       fi;
       crash;
       goto send
  :: found == IN_FLIGHT -> /* under an older fence */
       commit(row = UNKNOWN);
       crash;
       goto next
  :: found == UNKNOWN ->
       if
       :: PARK || (HORIZON && forgotten) -> commit(row = PARKED); crash; goto start
       :: else
       fi;
       if
       :: PATIENT -> len(network) == 0
       :: else
       fi;
       if
       :: DEDUP == LOOKUP && effects > 0 -> commit(row = DONE); crash; goto start
       :: else -> commit(row = IN_FLIGHT); crash; goto send
       fi
  :: else -> goto start
  fi;

send:
  answered = false;
  atomic {
    if
    :: sends == SENDS -> gave_up = true; goto stop
    :: else -> sends++
    fi
  };
  /* Within the horizon a request is out before its key can be forgotten. */
  atomic {
    if
    :: HORIZON && forgotten -> goto settle
    :: else ->
       if
       :: arrive(); answered = true
       :: arrive()
       :: skip
       :: LINGER && nfull(network) -> network!0
       fi
    fi
  };
  crash;

settle:
  if
  :: ORDER == DONE_FIRST -> goto start
  :: answered -> commit(row = DONE)
  :: else -> commit(row = UNKNOWN)
  fi;
  crash;
  goto next;

stop:
  working--
}

#define at_rest (working == 0 && !gave_up)

ltl no_duplicate { [] (effects <= 1) }
ltl no_loss { [] ((at_rest && row == DONE) -> effects >= 1) }
ltl nothing_silent { [] (at_rest -> (row == DONE || row == PARKED)) }
ltl never_rests { [] !at_rest } /* must be violated, or the others would say nothing */
