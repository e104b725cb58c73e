"""Transfer between languages: scores from runs, matrices of them, analysis and completion."""
