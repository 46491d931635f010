"""Jobs: runs in processes of their own, watched and steered through their run folders. Nothing heavy is imported."""

from .job import Job, start
from .watch import JobStatus, request, status

__all__ = ["Job", "JobStatus", "request", "start", "status"]
