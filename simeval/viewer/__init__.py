"""A local web page over run folders: it reads them, and writes nothing but a cache of videos.

Non-obvious behaviour:
- No lock is taken, so a run may be written, killed and resumed meanwhile: only whole lines of its rows are read, and a
  file that was replaced or cut is read again from its start.
- Of each episode a few numbers are held in arrays, with the place of its row in the file; the row and the trace are
  read when its page is opened. So a hundred thousand episodes take tens of megabytes.
"""
