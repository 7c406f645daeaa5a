"""The protocol: in which order an image comes and goes, so that nothing is lost and nothing is left behind.

**The promise.** An object never exists without a row that names it, and a listed image never lacks an object.

An *intent* is a row that names the keys of objects before they are written or deleted. This is its life::

    upload    begin_upload ──> [intent] ── put every object ──> publish ──> [image]
                                  │
                                  └── the process dies: the lease ends ──> the sweep claims the intent, so that nobody
                                      can publish it, and deletes its objects; an hour later it deletes them again,
                                      because a PUT that timed out may land late, and finishes the intent

    deletion  begin_delete ──> [intent, due at once] ── delete every object ──> finish ──> nothing is left
                                  │
                                  └── the process dies: the sweep does the rest

If it is unknown whether a call took effect, its outcome is read again. It is never undone on a guess.

===============  ======================================================================
``upload.py``    store an image: begin, put, publish; undo what did not succeed
``deletion.py``  delete the objects of an image, or all images of a user
``sweep.py``     finish the uploads and deletions that were cut off
``rebuild.py``   make new variants of stored images, when a recipe has changed
``audit.py``     compare the store with the records
``transfer.py``  copy the objects or the records to another place
``check.py``     try the storage and the repository, and say what is wrong
===============  ======================================================================
"""
