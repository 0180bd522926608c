;; A core module: not a component at all.
(module)
