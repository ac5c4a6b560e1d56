// SPDX-License-Identifier: MIT
/* How weight changes hands across a network that fails: the protocol of
   include/gossamer/transport/delivery/session.hpp, written down a second time for Spin, smaller: one
   message per session and direction, so that each counter is a bit, and what is granted is
   delivered at once. run.sh says how it is checked.

   The network keeps the last SLOTS different frames of each direction, of which a new one may
   overwrite any or be lost itself: so a frame can arrive never, late, several times, or after a
   later one. A cut or a partition is a loss that lasts. A node that crashes has lost its memory and
   comes back in a new life; as nobody can see how long that takes, it takes no time.

   Whatever has happened, heal() makes the network perfect and lets all talk for a while; then
   nothing may be in doubt. */

#ifndef NODES
#define NODES 2
#endif
#ifndef SLOTS
#define SLOTS 1       /* frames per direction that may still arrive */
#endif
#ifndef MESSAGES
#define MESSAGES 1    /* that each link carries at most, in each direction */
#endif
#ifdef CHAIN          /* 0 sends to 1, 1 to 2, ...; their sessions are open already */
#define linked(x, y) (x + 1 == y || y + 1 == x)
#define sends(x, y) (x + 1 == y)
#else
#define linked(x, y) (x != y)
#define sends(x, y) (x < SENDERS)
#endif
#ifndef SENDERS
#define SENDERS NODES /* nodes that send at all: 0, 1, ... */
#endif
#ifndef SUSPICIONS
#define SUSPICIONS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#define LINKS (NODES * NODES)
#define START 8  /* weight of each node */

/* Names of a side: life * 16 + session. They only grow. */
#define life(side) (side >> 4)

#define NOTHING 0
#define OFFERED 1    /* outgoing */
#define GRANTED 2
#define CONFIRMED 3
#define HELD 1       /* incoming */
#define DELIVERED 2

/* What nobody in it can see: what became of each message. */
#define UNSENT 0
#define UNDER_WAY 1
#define USED 2       /* by its receiver */
#define HOME 3       /* used by its sender again */
#define GONE 4       /* granted to a life that ended */
#define ORPHAN 5     /* its sender's life ended; it may still be used */

typedef Frame {
  byte from; byte to;          /* sides; 0: unknown */
  bit open; bit accepted; bit granted; bit delivered;
  byte offer;                  /* number of the message + 1, or 0 */
  byte reported; bit reported_delivered
}

typedef Link {
  byte mine; byte theirs; byte last_mine; byte last_theirs;
  bit open; bit heard;
  byte out; byte out_message;  /* its phase, and its number */
  byte in; byte in_message;
  byte reported; bit reported_delivered
}

Link link[LINKS];              /* link[x * NODES + y]: at x, to y */
Frame slot[LINKS * SLOTS];     /* written by x to y */
byte sent[LINKS];
byte fate[LINKS * MESSAGES];
byte lives[NODES];
byte suspicions = SUSPICIONS;
byte crashes = CRASHES;

byte weight[NODES];            /* of each node now */
byte under_way;                /* weight of messages that nobody uses */
byte dead;                     /* weight that went with a life */

/* Scratch, 0 between two steps. */
Frame f;
byte l; byte r; byte i; byte m; byte x; byte y; byte round;

#define L link[l]
#define fate_out fate[l * MESSAGES + L.out_message]
#define fate_in fate[r * MESSAGES + L.in_message]

inline use_here() {            /* the receiver's rule gets what L holds */
  assert(fate_in == UNDER_WAY || fate_in == ORPHAN);
  if
  :: fate_in == UNDER_WAY -> under_way--
  :: else -> dead--
  fi;
  fate_in = USED;
  weight[l / NODES]++
}

inline take_home() {           /* the sender's rule gets what it sent */
  assert(fate_out == UNDER_WAY);
  fate_out = HOME;
  under_way--;
  weight[l / NODES]++
}

inline end_session() {
#ifdef BREAK_GRANTED
  if                           /* returns what it has granted */
  :: L.out == GRANTED -> take_home(); L.out = NOTHING
  :: else
  fi;
#endif
  if
  :: L.out == OFFERED -> take_home(); L.out = NOTHING
  :: L.out == CONFIRMED -> L.out = NOTHING
  :: else
  fi;
  if
  :: L.open ->
#ifdef BREAK_HELD
     if                        /* delivers what it only holds */
     :: L.in == HELD -> use_here(); L.in = DELIVERED
     :: else
     fi;
#endif
     if
     :: L.heard -> L.reported = L.theirs; L.reported_delivered = (L.in == DELIVERED)
     :: else
     fi;
     L.in = NOTHING; L.in_message = 0;
     L.last_mine = L.mine; L.last_theirs = L.theirs;
     L.open = 0; L.heard = 0;
#ifndef BREAK_SESSION
     L.mine++                  /* else the next session has the number of this one */
#endif
  :: else
  fi
}

inline open_session() {
  if
  :: L.out == GRANTED ->
     if
#ifndef BREAK_LIFE
     :: life(L.last_theirs) != life(L.theirs) ->
        assert(fate_out == UNDER_WAY || fate_out == USED);
        if
        :: fate_out == UNDER_WAY -> fate_out = GONE; under_way--; dead++
        :: else
        fi
     :: else ->
        assert(f.reported == L.last_mine);
#else
     :: true ->                /* asks a new life what the old one did */
#endif
        if
        :: f.reported_delivered -> assert(fate_out == USED)
        :: else -> take_home()
        fi
     fi;
     L.out = NOTHING
  :: else
  fi;
  L.in = NOTHING;
  L.open = 1
}

inline progress() {
  L.heard = 1;
  if
  :: L.out == OFFERED && f.accepted -> L.out = GRANTED
  :: else
  fi;
  if
  :: L.out == GRANTED && f.delivered -> assert(fate_out == USED); L.out = CONFIRMED
  :: else
  fi;
  if
  :: L.in == HELD && f.granted -> use_here(); L.in = DELIVERED
  :: L.in == NOTHING && f.offer != 0 ->
     L.in_message = f.offer - 1; L.in = HELD;
#ifdef BREAK_WAIT
     use_here(); L.in = DELIVERED  /* does not wait for the grant */
#endif
  :: else
  fi
}

/* Frame f arrives at link l; r is the link back. */
inline receive() {
  if
#ifdef BREAK_OLD
  :: L.open && f.open && life(f.from) == life(L.theirs) -> progress()  /* of whatever session */
#endif
  :: f.from < L.theirs
  :: f.from > L.theirs && L.open -> end_session(); L.theirs = f.from
  :: f.from == L.theirs && L.open ->
     if
     :: f.to == L.mine && f.open -> progress()
     :: else
     fi
  :: f.from >= L.theirs && !L.open ->
     L.theirs = f.from;
     if
     :: f.to == L.mine ->
        open_session();
        if
        :: f.open -> progress()
        :: else
        fi
     :: else
     fi
  fi
}

/* All that link l has to say. */
inline write() {
  f.from = L.mine; f.to = L.theirs; f.open = L.open;
  f.accepted = L.open && L.in >= HELD;
  f.granted = L.open && L.out >= GRANTED;
  f.delivered = L.open && L.in == DELIVERED;
  f.offer = (L.open && L.out == OFFERED -> L.out_message + 1 : 0);
  f.reported = L.reported; f.reported_delivered = L.reported_delivered
}

inline copy(target, source) {
  target.from = source.from; target.to = source.to; target.open = source.open;
  target.accepted = source.accepted; target.granted = source.granted; target.delivered = source.delivered;
  target.offer = source.offer; target.reported = source.reported; target.reported_delivered = source.reported_delivered
}

inline forget_frame() {
  f.from = 0; f.to = 0; f.open = 0; f.accepted = 0; f.granted = 0; f.delivered = 0; f.offer = 0;
  f.reported = 0; f.reported_delivered = 0
}

inline crash() {
  dead = dead + weight[x]; weight[x] = 0;
  lives[x]++;
  y = 0;
  do
  :: y < NODES ->
     l = x * NODES + y;
     m = 0;
     do
     :: m < MESSAGES ->
        if
        :: fate[l * MESSAGES + m] == UNDER_WAY ->
           fate[l * MESSAGES + m] = ORPHAN; under_way--; dead++
        :: else
        fi;
        m++
     :: else -> break
     od;
     L.mine = lives[x] * 16 + 1; L.theirs = 0; L.last_mine = 0; L.last_theirs = 0;
     L.open = 0; L.heard = 0; L.out = NOTHING; L.out_message = 0; L.in = NOTHING;
     L.in_message = 0; L.reported = 0; L.reported_delivered = 0;
     y++
  :: else -> break
  od
}

/* A perfect network from here on: everything must be settled. */
inline heal() {
  round = 0;
  do
  :: round < 5 ->
     l = 0;
     do
     :: l < LINKS ->
        x = l / NODES; y = l % NODES;
        if
        :: linked(x, y) ->
           write();
           r = l; l = y * NODES + x;
           receive();
           l = r
        :: else
        fi;
        l++
     :: else -> break
     od;
     round++
  :: else -> break
  od;
  l = 0;
  do
  :: l < LINKS ->
     if
     :: linked(l / NODES, l % NODES) ->
        assert(L.open && (L.out == NOTHING || L.out == CONFIRMED) && L.in != HELD);
        m = 0;
        do
        :: m < MESSAGES -> assert(fate[l * MESSAGES + m] != UNDER_WAY); m++
        :: else -> break
        od
     :: else
     fi;
     l++
  :: else -> break
  od;
  assert(under_way == 0)
}

inline check_weight() {
  m = 0; x = 0;
  do
  :: x < NODES -> m = m + weight[x]; x++
  :: else -> break
  od;
  assert(m + under_way + dead == NODES * START)
}

inline clear() { l = 0; r = 0; i = 0; m = 0; x = 0; y = 0; forget_frame() }

active proctype world() {
  d_step {
    do
    :: l < LINKS ->
       L.mine = 17;
#ifdef CHAIN
       L.theirs = 17; L.open = 1;
#endif
       l++
    :: else -> break
    od;
    x = 0;
    do
    :: x < NODES -> lives[x] = 1; weight[x] = START; x++
    :: else -> break
    od;
    clear()
  }
  do
  :: atomic {                  /* something happens at x that concerns y */
       select(l : 0 .. LINKS - 1);
       x = l / NODES; y = l % NODES; r = y * NODES + x;
       if
       :: !linked(x, y)
       :: linked(x, y) && sends(x, y) && L.open && L.out == NOTHING && sent[l] < MESSAGES &&
          weight[x] > 0 ->
          L.out = OFFERED; L.out_message = sent[l];
          fate_out = UNDER_WAY; sent[l]++; weight[x]--; under_way++
       :: linked(x, y) ->      /* is written into a slot, whose frame is lost */
          select(i : 0 .. SLOTS - 1);
          i = l * SLOTS + i;
          write();
          copy(slot[i], f)
       :: linked(x, y) ->      /* arrives, and may do so again */
          select(i : 0 .. SLOTS - 1);
          i = r * SLOTS + i;
          if
          :: slot[i].from != 0 -> copy(f, slot[i]); receive()
          :: else
          fi
       :: linked(x, y) && suspicions > 0 && L.open -> suspicions--; end_session()
       :: y == (x + 1) % NODES && crashes > 0 -> crashes--; crash()
       fi;
       check_weight();
       clear()
     }
  :: d_step { heal(); check_weight(); clear() } -> break
  od
}
