"""Where work runs: Ray sessions, hardware profiles, run storage and leases."""
