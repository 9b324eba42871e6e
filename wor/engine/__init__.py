"""Everything that touches a model: generate, capture, intervene. Knows no file path and no dataset; see docs/engine.md."""
