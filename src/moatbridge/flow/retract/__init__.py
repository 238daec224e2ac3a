"""Taking a run back: newest first, as ordinary intents of its own run (delivery 53).

Theory of operation. Whatever overwrites or removes a target record keeps, at admission,
what it overwrites: the *image* (`images`). A retract reads what the run did, newest
first, looks at the target records as they are now and decides for each what would bring
it back, or why nothing can (`undoing`, pure). That is staged as a plan (`planning`),
judged by the guard, agreed to by a person, and delivered by the ordinary lanes, which
decide once more right before they send (`delivering`): what somebody changed since is
left alone and reported (`report`).

What was taken back stays back. The marks keep saying "this source state was carried",
so the next pass finds nothing new; the record is carried again when it changes at its
source, or when the retract is itself retracted. And the first plan after a retract that
would send anything is confirmed by a person (`guarding`), since whatever the run did
not get to send is planned again by then.
"""

from __future__ import annotations
