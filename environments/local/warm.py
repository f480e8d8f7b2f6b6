"""Imported last by the fork server: what it holds by then is shared by every service.

A garbage collection writes to every object that it looks at, and a page written to is shared no more.
"""

import gc

gc.collect()
gc.freeze()
