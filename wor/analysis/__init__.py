"""What a study reports of a model: tables in, numbers with intervals out."""
