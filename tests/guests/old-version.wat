;; A handler of a version of the contract that is not this one.
(component
  (import "wsrun:websocket/types@0.1.0" (instance $types
    (type $message (variant (case "text" string) (case "binary" (list u8))))
    (export "message" (type (eq $message)))
    (type $closed-by (enum "peer" "handler" "host"))
    (export "closed-by" (type $exported-closed-by (eq $closed-by)))
    (type $close-info (record
      (field "code" u16) (field "reason" string) (field "by" $exported-closed-by) (field "clean" bool)))
    (export "close-info" (type (eq $close-info)))
  ))
  (alias export $types "message" (type $message))
  (alias export $types "close-info" (type $close-info))

  ;; A handler that does nothing. Each call may use its memory anew.
  (core module $silent-module
    (memory (export "memory") 17)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
    (func (export "opened") (param i64))
    (func (export "received") (param i64 i32 i32 i32))
    (func (export "closed") (param i64 i32 i32 i32 i32 i32)))
  (core instance $silent (instantiate $silent-module))
  (alias core export $silent "memory" (core memory $mem))
  (alias core export $silent "realloc" (core func $realloc))

  (type $opened (func (param "connection" u64)))
  (type $received (func (param "connection" u64) (param "message" $message)))
  (type $closed (func (param "connection" u64) (param "info" $close-info)))
  (alias core export $silent "opened" (core func $core-opened))
  (alias core export $silent "received" (core func $core-received))
  (alias core export $silent "closed" (core func $core-closed))
  (func $opened (type $opened) (canon lift (core func $core-opened)))
  (func $received (type $received)
    (canon lift (core func $core-received) (memory $mem) (realloc $realloc) string-encoding=utf8))
  (func $closed (type $closed)
    (canon lift (core func $core-closed) (memory $mem) (realloc $realloc) string-encoding=utf8))
  (instance $handler
    (export "opened" (func $opened))
    (export "received" (func $received))
    (export "closed" (func $closed)))
  (export "wsrun:websocket/handler@0.0.9" (instance $handler))
)
