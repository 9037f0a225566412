"""Batch jobs as rows: submitted by clients, taken by workers in turn, held to quotas, swept when they end.

Takes images and claims, writes `galaxy_jobs`, `galaxy_job_items` and `galaxy_job_clients`.
"""
