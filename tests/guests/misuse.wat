;; A handler by hand that misuses the canonical ABI, as no SDK does. A text of these characters is a misuse, anything else is sent back:
;; `b` a string that ends behind the memory, `u` a text that is not UTF-8, `l` a list of 1,000 strings that are one MiB, the same one,
;; `h` a handle that there is not, `d` a handle that was given back, `w` resources of WASI without end, `r` the allocator calls the host
;; while the host passes the next message in, `p` packed messages where none were received.
;; Messages that come together are sent back together, unless the first byte of the first tells another misuse: `O` to another connection,
;; `M` cut in the middle, `T` as a text that is not UTF-8, `X` again and again until there is no room.
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
  (alias export $types "send-error" (type $send-error))

  (import "wsrun:websocket/connections@0.1.0" (instance $connections
    (alias outer 1 $message (type $outer-message))
    (export "message" (type $message (eq $outer-message)))
    (alias outer 1 $send-error (type $outer-send-error))
    (export "send-error" (type $send-error (eq $outer-send-error)))
    (export "send" (func (param "to" u64) (param "message" $message) (result (result (error $send-error)))))
  ))

  (import "wsrun:websocket/packed-send@0.1.0" (instance $packed
    (export "send" (func (param "connection" u64) (param "messages" (list u8))))
  ))
  (import "wsrun:websocket/client@0.1.0" (instance $client
    (type $verify (enum "full" "allow-self-signed"))
    (export "verify" (type $exported-verify (eq $verify)))
    (type $reconnect (record
      (field "attempts-max" u32) (field "delay-ms" (option u32)) (field "delay-max-ms" (option u32))))
    (export "reconnect" (type $exported-reconnect (eq $reconnect)))
    (type $options (record
      (field "url" string) (field "protocols" (list string)) (field "host" (option string)) (field "origin" (option string))
      (field "headers" (list (tuple string string))) (field "verify" $exported-verify) (field "identity" (option string))
      (field "version" (option u8)) (field "compression" bool) (field "timeout-ms" (option u32))
      (field "reconnect" (option $exported-reconnect)) (field "session" (list u8))))
    (export "options" (type $exported-options (eq $options)))
    (type $connect-error (variant
      (case "denied" string) (case "invalid" string) (case "unsupported-version" (list u8)) (case "limit")))
    (export "connect-error" (type $exported-connect-error (eq $connect-error)))
    (export "connect" (func (param "options" $exported-options) (result (result u64 (error $exported-connect-error)))))
  ))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
  ))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))
  ))

  ;; Memory and its allocator, apart from the code: lowering `send` needs them before the code can be instantiated.
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

  (core module $misuse-module
    (import "memory" "memory" (memory 2))
    (import "memory" "free" (global $free (mut i32)))
    (import "memory" "realloc" (func $allocate (param i32 i32 i32 i32) (result i32)))
    (import "host" "send" (func $send (param i64 i32 i32 i32 i32)))
    (import "host" "send-packed" (func $send-packed (param i64 i32 i32)))
    (import "host" "connect" (func $connect (param i32 i32)))
    (import "host" "ready" (func $ready (param i32) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (global $calls-back (mut i32) (i32.const 0))

    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (if (global.get $calls-back)
        (then (call $send (i64.const 1) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))))
      (call $allocate (local.get $old) (local.get $old-size) (local.get $align) (local.get $size)))

    (func $same-strings
      (local $at i32)
      ;; The options of a connection, at 0: no URL, 1,000 subprotocols at 4,096, and of the rest nothing.
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 8) (i32.const 4096))
      (i32.store (i32.const 12) (i32.const 1000))
      (local.set $at (i32.const 4096))
      (loop $more
        (i32.store (local.get $at) (i32.const 65536))
        (i32.store offset=4 (local.get $at) (i32.const 1048576))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 12096))))
      (drop (memory.grow (i32.const 32)))
      (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
      (call $connect (i32.const 0) (i32.const 2048)))

    (func (export "opened") (param $connection i64))
    (func (export "received") (param $connection i64) (param $case i32) (param $start i32) (param $length i32)
      (local $first i32) (local $handle i32)
      (if (i32.and (i32.eqz (local.get $case)) (i32.eq (local.get $length) (i32.const 1)))
        (then (local.set $first (i32.load8_u (local.get $start)))))
      (if (i32.eq (local.get $first) (i32.const 98))
        (then (call $send (local.get $connection) (i32.const 0) (i32.const 65536) (i32.const -65536) (i32.const 0))))
      (if (i32.eq (local.get $first) (i32.const 117))
        (then
          (i32.store (local.get $start) (i32.const 255))
          (call $send (local.get $connection) (i32.const 0) (local.get $start) (i32.const 1) (i32.const 0))))
      (if (i32.eq (local.get $first) (i32.const 108)) (then (call $same-strings)))
      (if (i32.eq (local.get $first) (i32.const 104)) (then (drop (call $ready (i32.const 77)))))
      (if (i32.eq (local.get $first) (i32.const 100))
        (then
          (local.set $handle (call $subscribe (i64.const 1)))
          (call $drop (local.get $handle))
          (call $drop (local.get $handle))))
      (if (i32.eq (local.get $first) (i32.const 119))
        (then (loop $more (drop (call $subscribe (i64.const 1000000000))) (br $more))))
      (if (i32.eq (local.get $first) (i32.const 112))
        (then (call $send-packed (local.get $connection) (i32.const 0) (i32.const 0))))
      (if (i32.eq (local.get $first) (i32.const 114)) (then (global.set $calls-back (i32.const 1))))
      (call $send (local.get $connection) (local.get $case) (local.get $start) (local.get $length) (i32.const 0))
      (global.set $free (i32.const 65536)))
    (func (export "received-packed") (param $connection i64) (param $start i32) (param $length i32) (param $room i32)
      (local $first i32)
      (local.set $first (i32.load8_u offset=4 (local.get $start)))
      (if (i32.eq (local.get $first) (i32.const 79))
        (then (call $send-packed (i64.add (local.get $connection) (i64.const 1)) (local.get $start) (local.get $length))))
      (if (i32.eq (local.get $first) (i32.const 77))
        (then (local.set $length (i32.sub (local.get $length) (i32.const 1)))))
      (if (i32.eq (local.get $first) (i32.const 84))
        (then (i32.store8 offset=4 (local.get $start) (i32.const 255))))
      (if (i32.eq (local.get $first) (i32.const 88))
        (then (loop $more (call $send-packed (local.get $connection) (local.get $start) (local.get $length)) (br $more))))
      (call $send-packed (local.get $connection) (local.get $start) (local.get $length))
      (global.set $free (i32.const 65536)))
    (func (export "closed") (param $connection i64)
      (param $code i32) (param $reason-start i32) (param $reason-length i32) (param $by i32) (param $clean i32)
      (global.set $free (i32.const 65536))))

  (core instance $memory (instantiate $memory-module))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $allocate))
  (alias export $connections "send" (func $send))
  (alias export $packed "send" (func $send-packed))
  (alias export $client "connect" (func $connect))
  (alias export $poll "[method]pollable.ready" (func $ready))
  (alias export $clock "subscribe-duration" (func $subscribe))
  (core func $lowered-send (canon lower (func $send) (memory $mem) string-encoding=utf8))
  (core func $lowered-connect (canon lower (func $connect) (memory $mem) (realloc $allocate) string-encoding=utf8))
  (core func $lowered-send-packed (canon lower (func $send-packed) (memory $mem)))
  (core func $lowered-ready (canon lower (func $ready)))
  (core func $lowered-subscribe (canon lower (func $subscribe)))
  (core func $lowered-drop (canon resource.drop $pollable))
  (core instance $echo (instantiate $misuse-module
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "send" (func $lowered-send))
      (export "send-packed" (func $lowered-send-packed))
      (export "connect" (func $lowered-connect))
      (export "ready" (func $lowered-ready))
      (export "drop" (func $lowered-drop))
      (export "subscribe" (func $lowered-subscribe))))))
  (alias core export $echo "realloc" (core func $realloc))

  (type $received-packed (func (param "connection" u64) (param "messages" (list u8)) (param "room" u32)))
  (alias core export $echo "received-packed" (core func $core-received-packed))
  (func $received-packed (type $received-packed)
    (canon lift (core func $core-received-packed) (memory $mem) (realloc $realloc)))
  (instance $packed-exports (export "received" (func $received-packed)))
  (export "wsrun:websocket/packed@0.1.0" (instance $packed-exports))

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
