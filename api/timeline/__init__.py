"""Timeline of an execution: routes, schemas and views."""
