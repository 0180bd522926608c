package abi

import "unsafe"

// What the host passes is copied to memory that it asks for by exports of this file. It asks while nothing may be called, not even the
// clock, which a garbage collection reads: so this memory is not Go's. It is one block from the runtime's own source of memory, which a
// larger one takes the place of when it is full, and all of it is given back when the callback returns.
var (
	block     unsafe.Pointer
	blockSize uintptr
	blockUsed uintptr
)

const pageBytes = 64 << 10

//go:linkname sbrk runtime.sbrk
func sbrk(n uintptr) unsafe.Pointer

//go:nosplit
func take(align, size uintptr) unsafe.Pointer {
	at := (blockUsed + align - 1) &^ (align - 1)
	if at+size > blockSize {
		wanted := 2 * blockSize
		if wanted < size {
			wanted = size
		}
		wanted = (wanted + pageBytes) &^ (pageBytes - 1)
		larger := sbrk(wanted)
		if larger == nil {
			*(*uint32)(nil) = 0
		}
		// What is in the old block is still in use.
		block, blockSize, at = larger, wanted, 0
	}
	blockUsed = at + size
	return unsafe.Add(block, at)
}

// GiveBack ends a callback. What it returns to the host is read before the memory is used again.
func GiveBack() {
	blockUsed = 0
}

//go:wasmexport cabi_realloc
//go:nosplit
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	memory := take(uintptr(align), uintptr(size))
	kept := uintptr(min(oldSize, size))
	for i := uintptr(0); i < kept; i++ {
		*(*byte)(unsafe.Add(memory, i)) = *(*byte)(unsafe.Add(old, i))
	}
	return memory
}

// The adapter of WASI keeps its stack and its state in memory of the program, and asks for it before the runtime has begun.
var (
	adapterMemory [4 * pageBytes]byte
	adapterUsed   uintptr
)

//go:wasmexport cabi_realloc_adapter
//go:nosplit
func reallocAdapter(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	base := uintptr(unsafe.Pointer(&adapterMemory))
	at := (base+adapterUsed+uintptr(align)-1)&^(uintptr(align)-1) - base
	adapterUsed = at + uintptr(size)
	if adapterUsed > uintptr(len(adapterMemory)) {
		*(*uint32)(nil) = 0
	}
	return unsafe.Pointer(&adapterMemory[at])
}

// Put copies a text to memory that lives until the callback returns.
func Put(text string) String {
	if text == "" {
		return String{}
	}
	memory := take(1, uintptr(len(text)))
	copy(unsafe.Slice((*byte)(memory), len(text)), text)
	return String{Ptr: uint32(uintptr(memory)), Len: uint32(len(text))}
}

// PutBytes copies bytes to memory that lives until the callback returns.
func PutBytes(data []byte) String {
	return Put(unsafe.String(unsafe.SliceData(data), len(data)))
}

// PutList copies values to memory that lives until the callback returns.
func PutList[T any](values []T) List[T] {
	if len(values) == 0 {
		return List[T]{}
	}
	var zero T
	memory := take(unsafe.Alignof(zero), unsafe.Sizeof(zero)*uintptr(len(values)))
	copy(unsafe.Slice((*T)(memory), len(values)), values)
	return List[T]{Ptr: uint32(uintptr(memory)), Len: uint32(len(values))}
}

// New is memory for a value that lives until the callback returns.
func New[T any]() *T {
	var zero T
	value := (*T)(take(unsafe.Alignof(zero), unsafe.Sizeof(zero)))
	*value = zero
	return value
}

// Text copies a text of the host.
func (s String) Text() string {
	return TextAt(pointer(s.Ptr), s.Len)
}

// Bytes copies bytes of the host.
func (s String) Bytes() []byte {
	return BytesAt(pointer(s.Ptr), s.Len)
}

// TextAt copies a text of the host.
func TextAt(data unsafe.Pointer, size uint32) string {
	return string(unsafe.Slice((*byte)(data), size))
}

// BytesAt copies bytes of the host.
func BytesAt(data unsafe.Pointer, size uint32) []byte {
	return append([]byte{}, unsafe.Slice((*byte)(data), size)...)
}

// Values are the values of a list of the host, where they are.
func (l List[T]) Values() []T {
	return unsafe.Slice((*T)(pointer(l.Ptr)), l.Len)
}

// As is the place of a value in a union.
func As[T any](union unsafe.Pointer) *T {
	return (*T)(union)
}

func pointer(address uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(nil), uintptr(address))
}
