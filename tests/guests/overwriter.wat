;; A program for `--stdio` by hand that writes without asking whether there is room, for ever, where every library asks first.
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-type (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "output-stream" (type $output-stream (sub resource)))
    (type $stream-error (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $exported-stream-error (eq $stream-error)))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $output-stream)) (param "contents" (list u8)) (result (result (error $exported-stream-error)))))
  ))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $outer-output-stream))
    (export "output-stream" (type $output-stream (eq $outer-output-stream)))
    (export "get-stdout" (func (result (own $output-stream))))
  ))

  (core module $memory-module
    (memory (export "memory") 1)
    ;; Lines of 15 letters.
    (data (i32.const 1024) "xxxxxxxxxxxxxxx\0axxxxxxxxxxxxxxx\0axxxxxxxxxxxxxxx\0axxxxxxxxxxxxxxx\0a"))
  (core module $program-module
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "run") (result i32)
      (local $stdout i32)
      (local.set $stdout (call $get-stdout))
      (loop $more
        (call $write (local.get $stdout) (i32.const 1024) (i32.const 64) (i32.const 0))
        (br $more))
      unreachable))

  (core instance $memory (instantiate $memory-module))
  (alias core export $memory "memory" (core memory $mem))
  (alias export $stdout "get-stdout" (func $get-stdout))
  (alias export $streams "[method]output-stream.write" (func $write))
  (core func $lowered-get-stdout (canon lower (func $get-stdout)))
  (core func $lowered-write (canon lower (func $write) (memory $mem)))
  (core instance $program (instantiate $program-module
    (with "host" (instance
      (export "get-stdout" (func $lowered-get-stdout))
      (export "write" (func $lowered-write))))))
  (alias core export $program "run" (core func $core-run))
  (type $run (func (result (result))))
  (func $run (type $run) (canon lift (core func $core-run)))
  (instance $run-exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run-exports))
)
