"""What routes do with executions: start, steer, wait, watch, stop; and their files and reports."""
