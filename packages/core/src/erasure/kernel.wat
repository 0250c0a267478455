;; The arithmetic of Reed-Solomon over GF(2^8): one output as a linear combination of k inputs.
;; Multiplication by a constant is two table look-ups, one for each half of a byte ("split nibbles"; Plank, Greenan and
;; Miller, "Screaming Fast Galois Field Arithmetic Using Intel SIMD Instructions", FAST 2013): i8x16.swizzle does 16 at once.
(module
  (memory (export "memory") 1)

  ;; dst[0..len) = sum over j < k of coefficient j times (src + j * stride)[0..len). `len` is rounded up to 64 bytes.
  ;; tables: for each j 16 bytes of products of 0..15 and 16 bytes of products of 0, 16, 32, ... 240.
  (func (export "combine")
    (param $tables i32) (param $src i32) (param $stride i32) (param $k i32) (param $dst i32) (param $len i32)
    (local $end i32) (local $s i32) (local $t i32) (local $j i32)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $low v128) (local $high v128) (local $x v128) (local $mask v128)
    (local.set $mask (v128.const i8x16 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15))
    (local.set $end (i32.add (local.get $dst) (local.get $len)))
    (block $done (loop $blocks
      (br_if $done (i32.ge_u (local.get $dst) (local.get $end)))
      (local.set $a0 (v128.const i64x2 0 0))
      (local.set $a1 (v128.const i64x2 0 0))
      (local.set $a2 (v128.const i64x2 0 0))
      (local.set $a3 (v128.const i64x2 0 0))
      (local.set $s (local.get $src))
      (local.set $t (local.get $tables))
      (local.set $j (local.get $k))
      (loop $sources
        (local.set $low (v128.load (local.get $t)))
        (local.set $high (v128.load offset=16 (local.get $t)))
        (local.set $x (v128.load (local.get $s)))
        (local.set $a0 (v128.xor (local.get $a0) (v128.xor
          (i8x16.swizzle (local.get $low) (v128.and (local.get $x) (local.get $mask)))
          (i8x16.swizzle (local.get $high) (i8x16.shr_u (local.get $x) (i32.const 4))))))
        (local.set $x (v128.load offset=16 (local.get $s)))
        (local.set $a1 (v128.xor (local.get $a1) (v128.xor
          (i8x16.swizzle (local.get $low) (v128.and (local.get $x) (local.get $mask)))
          (i8x16.swizzle (local.get $high) (i8x16.shr_u (local.get $x) (i32.const 4))))))
        (local.set $x (v128.load offset=32 (local.get $s)))
        (local.set $a2 (v128.xor (local.get $a2) (v128.xor
          (i8x16.swizzle (local.get $low) (v128.and (local.get $x) (local.get $mask)))
          (i8x16.swizzle (local.get $high) (i8x16.shr_u (local.get $x) (i32.const 4))))))
        (local.set $x (v128.load offset=48 (local.get $s)))
        (local.set $a3 (v128.xor (local.get $a3) (v128.xor
          (i8x16.swizzle (local.get $low) (v128.and (local.get $x) (local.get $mask)))
          (i8x16.swizzle (local.get $high) (i8x16.shr_u (local.get $x) (i32.const 4))))))
        (local.set $s (i32.add (local.get $s) (local.get $stride)))
        (local.set $t (i32.add (local.get $t) (i32.const 32)))
        (br_if $sources (local.tee $j (i32.sub (local.get $j) (i32.const 1)))))
      (v128.store (local.get $dst) (local.get $a0))
      (v128.store offset=16 (local.get $dst) (local.get $a1))
      (v128.store offset=32 (local.get $dst) (local.get $a2))
      (v128.store offset=48 (local.get $dst) (local.get $a3))
      (local.set $src (i32.add (local.get $src) (i32.const 64)))
      (local.set $dst (i32.add (local.get $dst) (i32.const 64)))
      (br $blocks)))))
