"""One mechanism for every experiment: folder, resume, scheduling, contrasts, provenance."""
