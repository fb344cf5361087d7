"""Beats and rhythms made of a record's own beats: for training, and to try what was trained."""
