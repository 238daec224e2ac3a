/* Two versions of one record. When everything rests, does the target show the newer one?

   A request may linger and arrive at any later time; a key has effect once.
   SCOPE  REQUEST: the key of version 1 is refused once version 1 took effect
          OBJECT: the target only knows the record (PUT by its own id), so an old request
          that arrives late overwrites
   RULE   what happens to version 2 while the outcome of version 1 is unknown:
          AT_ONCE      it is sent over it
          REPEAT       version 1 is repeated until it is answered, then version 2 goes
          WAIT         it waits until no request of version 1 can linger any more
          CONDITIONAL  it is sent at once; the target refuses a write that rests on an
                       older version */

#define REQUEST 0
#define OBJECT 1
#define AT_ONCE 0
#define REPEAT 1
#define WAIT 2
#define CONDITIONAL 3

#ifndef SCOPE
#define SCOPE REQUEST
#endif
#ifndef RULE
#define RULE AT_ONCE
#endif
#define SENDS 4 /* bound of the model */

byte shown = 0; /* the version that the target shows */
bool seen[3];   /* keys that took effect */
bool settled = false;
byte sends = 0;
chan network = [3] of { byte };

inline arrive(version) {
  d_step {
    if
    :: SCOPE == REQUEST && seen[version] -> skip
    :: RULE == CONDITIONAL && shown > version -> skip
    :: else -> seen[version] = true; shown = version
    fi
  }
}

active proctype Network() {
  byte late;
end:
  do
  :: atomic { network?late -> arrive(late) }
  od
}

inline call(version) {
  answered = false;
  if
  :: sends < SENDS -> sends++
  :: else -> goto stop
  fi;
  if
  :: arrive(version); answered = true
  :: arrive(version)
  :: skip
  :: nfull(network) -> network!version
  fi
}

active proctype Worker() {
  bool answered;

older:
  call(1);
  if
  :: answered -> goto newer
  :: else
  fi;
  if
  :: RULE == AT_ONCE || RULE == CONDITIONAL -> goto newer
  :: RULE == REPEAT -> goto older
  :: RULE == WAIT -> len(network) == 0
  fi;

newer:
  call(2);
  if
  :: answered -> settled = true
  :: else -> goto newer
  fi;

stop:
  skip
}

ltl newest { [] ((settled && len(network) == 0) -> shown == 2) }
