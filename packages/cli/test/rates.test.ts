import assert from "node:assert/strict"
import { test } from "node:test"
import { ratesOf } from "../src/rates.ts"

const of = (upload?: string, download?: string) =>
  ratesOf((name) => ({ "--limit-upload": upload, "--limit-download": download })[name])

test("rates are bytes a second with a unit, and what is none is refused", () => {
  assert.equal(of(), undefined)
  assert.deepEqual(of("500K", "1.5m"), { uploadBytesPerSecond: 512_000, downloadBytesPerSecond: 1_572_864 })
  assert.deepEqual(of(undefined, "2MiB"), { uploadBytesPerSecond: undefined, downloadBytesPerSecond: 2 * 1024 ** 2 })
  assert.deepEqual(of("4096")?.uploadBytesPerSecond, 4096)
  for (const bad of ["", "0", "1", "1023", "-5K", "5T", "K", "5 M", "1e9", "9".repeat(20), "constructor"])
    assert.throws(() => of(bad), { code: "ERR_INVALID_ARGUMENT" }, bad)
})
