;; A handler by hand that grows for ever: a text has it grow its table, a binary message its second memory. It traps when there is no more.
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

  (core module $bomb-module
    (import "memory" "free" (global $free (mut i32)))
    (table $table 1 funcref)
    (memory $second 1)
    (func (export "opened") (param $connection i64))
    (func (export "received") (param $connection i64) (param $case i32) (param $start i32) (param $length i32)
      (if (i32.eqz (local.get $case))
        (then
          (loop $more
            (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 10000)) (i32.const -1)))))
        (else
          (loop $more
            (br_if $more (i32.ne (memory.grow $second (i32.const 16)) (i32.const -1))))))
      unreachable)
    (func (export "closed") (param $connection i64)
      (param $code i32) (param $reason-start i32) (param $reason-length i32) (param $by i32) (param $clean i32)
      (global.set $free (i32.const 65536))))

  (core instance $memory (instantiate $memory-module))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core instance $echo (instantiate $bomb-module (with "memory" (instance $memory))))

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
