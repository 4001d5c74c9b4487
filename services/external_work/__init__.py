"""Work for external workers: claims with leases, reports of workers, and leases that run out."""
