"""One class a distillation strategy, and the objective that weighs them against the task."""
