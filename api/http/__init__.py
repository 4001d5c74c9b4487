"""HTTP handling that all features share: middleware, errors, paging, bodies, responses."""
