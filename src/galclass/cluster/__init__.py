"""Prepare, score and train on many machines with Ray: the same pure functions, mapped over chunks.

Takes images on a shared folder or in an object store; returns what one machine gives: the packed store, the trained
model, and for a survey's predictions a folder in HATS layout. Ray is imported nowhere else.
"""
