"""Makes a component of a handler in Python: ``python -m wsrun_build app.py -o dist/app.wasm``."""
