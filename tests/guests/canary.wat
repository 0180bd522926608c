;; A handler by hand that leaves a marker in 2 MiB of each of its memories, or looks for one there, by the length of a message; then it traps, and another
;; instance follows.
(component
  (import "wsrun:websocket/types@0.1.0" (instance $types
    (type $message (variant (case "text" string) (case "binary" (list u8))))
    (export "message" (type (eq $message)))
    (type $closed-by (enum "peer" "handler" "host"))
    (export "closed-by" (type $exported-closed-by (eq $closed-by)))
    (type $close-info (record
      (field "code" u16) (field "reason" string) (field "by" $exported-closed-by) (field "clean" bool)))
    (export "close-info" (type (eq $close-info)))
    (type $send-error (variant (case "closed") (case "queue-full" u64) (case "too-large" u64)))
    (export "send-error" (type (eq $send-error)))
  ))
  (alias export $types "message" (type $message))
  (alias export $types "close-info" (type $close-info))

  (core module $memory-module
    (memory (export "memory") 2)
    ;; The first 64 KiB are for the results of imports. What the host passes in lies above and is given back when the call ends.
    (global $free (export "free") (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32) (local $missing i32)
      (local.set $start
        (i32.and
          (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $free (i32.add (local.get $start) (local.get $size)))
      (local.set $missing
        (i32.sub
          (i32.shr_u (i32.add (global.get $free) (i32.const 65535)) (i32.const 16))
          (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then
          (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
      (memory.copy (local.get $start) (local.get $old) (local.get $old-size))
      (local.get $start)))

  (core module $canary-module
    (import "memory" "free" (global $free (mut i32)))
    (import "memory" "memory" (memory $first 2))
    (memory $second 1)
    (func (export "opened") (param $connection i64))
    (func $grow
      (if (i32.eq (memory.grow $first (i32.const 32)) (i32.const -1)) (then unreachable))
      (if (i32.eq (memory.grow $second (i32.const 31)) (i32.const -1)) (then unreachable)))
    (func $fill
      (local $at i32)
      (loop $more
        (i64.store $second (local.get $at) (i64.const 0x5ca1ab1e0ddba115))
        (i64.store $second offset=8 (local.get $at) (i64.const 0x7e57ab1e0b5e55ed))
        ;; Behind what the host has passed in.
        (i64.store $first offset=131072 (local.get $at) (i64.const 0x5ca1ab1e0ddba115))
        (i64.store $first offset=131080 (local.get $at) (i64.const 0x7e57ab1e0b5e55ed))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 2097152)))))
    (func $scan
      (local $at i32)
      (loop $more
        (if (i32.or
              (i32.and
                (i64.eq (i64.load $second (local.get $at)) (i64.const 0x5ca1ab1e0ddba115))
                (i64.eq (i64.load $second offset=8 (local.get $at)) (i64.const 0x7e57ab1e0b5e55ed)))
              (i32.and
                (i64.eq (i64.load $first offset=131072 (local.get $at)) (i64.const 0x5ca1ab1e0ddba115))
                (i64.eq (i64.load $first offset=131080 (local.get $at)) (i64.const 0x7e57ab1e0b5e55ed))))
          ;; Found: it computes until it is stopped, which is counted apart from traps.
          (then (loop $for_ever (br $for_ever))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 2097152)))))
    (func (export "received") (param $connection i64) (param $case i32) (param $start i32) (param $length i32)
      (call $grow)
      ;; 1: fill. 2: scan. 3: both.
      (if (i32.and (local.get $length) (i32.const 1)) (then (call $fill)))
      (if (i32.and (local.get $length) (i32.const 2)) (then (call $scan)))
      unreachable)
    (func (export "closed") (param $connection i64)
      (param $code i32) (param $reason-start i32) (param $reason-length i32) (param $by i32) (param $clean i32)
      (global.set $free (i32.const 65536))))

  (core instance $memory (instantiate $memory-module))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core instance $echo (instantiate $canary-module (with "memory" (instance $memory))))

  (type $opened (func (param "connection" u64)))
  (type $received (func (param "connection" u64) (param "message" $message)))
  (type $closed (func (param "connection" u64) (param "info" $close-info)))
  (alias core export $echo "opened" (core func $core-opened))
  (alias core export $echo "received" (core func $core-received))
  (alias core export $echo "closed" (core func $core-closed))
  (func $opened (type $opened) (canon lift (core func $core-opened)))
  (func $received (type $received)
    (canon lift (core func $core-received) (memory $mem) (realloc $realloc) string-encoding=utf8))
  (func $closed (type $closed)
    (canon lift (core func $core-closed) (memory $mem) (realloc $realloc) string-encoding=utf8))
  (instance $handler
    (export "opened" (func $opened))
    (export "received" (func $received))
    (export "closed" (func $closed)))
  (export "wsrun:websocket/handler@0.1.0" (instance $handler))
)
