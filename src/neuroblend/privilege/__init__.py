"""How behavior reaches a teacher, and the role of a student, which cannot see it."""
