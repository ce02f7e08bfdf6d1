"""Claims jobs and runs each in a child process, so that no job can take the worker, or the next job, with it."""
