"""The tools `web_fetch` and `http_request`: HTTP from the worker, to the hosts of a task's list."""
