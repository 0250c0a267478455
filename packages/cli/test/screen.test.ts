import assert from "node:assert/strict"
import { test } from "node:test"
import { excerpt, HoldfastError, holdsSecret, redacted, shownJson, shownLine } from "@holdfast/core"
import { type Cap, encodeCap } from "@holdfast/protocol"
import fc from "fast-check"
import { reportError } from "../src/exit-codes.ts"
import { refuseSecrets } from "../src/refuse-secrets.ts"
import { createScreen } from "../src/screen.ts"

const control = /[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]/u
const hostile = "x\u001b]0;P\u0007\u009b2J\u007f\u202e\u2066\u2028\ny"
const key = new Uint8Array(32).fill(7)
const cap = encodeCap({ kind: "dw", seed: key })
const payload = cap.slice("hf:dw:".length)

function screenOf(json: boolean) {
  const said = { stdout: "", stderr: "" }
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      said[name] += text
    },
  })
  return { said, streams: { stdout: stream("stdout"), stderr: stream("stderr"), json } }
}

test("no text of a result, a warning or an error drives the terminal or begins a line of its own", () => {
  const { said, streams } = screenOf(false)
  const screen = createScreen(streams)
  screen.output({}, [hostile, [hostile, hostile]])
  screen.warn(hostile)
  screen.tell([hostile])
  const error = new HoldfastError("ERR_REMOTE", hostile, { lines: [hostile] })
  reportError({ ...streams, env: { HOLDFAST_DEBUG: "1" } } as never, error)
  assert.doesNotMatch(said.stdout + said.stderr, control)
  assert.equal(said.stdout.split("\n").length, 3)
  assert.match(said.stdout, /x\\x1b\]0;P\\x07\\x9b2J\\x7f\\u202e\\u2066\\u2028\\x0ay/)
})

test("JSON is exact and yet safe to look at", () => {
  const { said, streams } = screenOf(true)
  createScreen(streams).output({ name: hostile, size: 5n }, "")
  assert.doesNotMatch(said.stdout, control)
  assert.deepEqual(JSON.parse(said.stdout), { name: hostile, size: "5" })
  assert.equal(JSON.parse(shownJson(hostile)), hostile)
})

test("a capability is hidden in whatever spelling it comes", () => {
  const spellings = [
    cap,
    cap.toUpperCase(),
    `"${cap}"`,
    `--profile=${cap}`,
    `@file:${cap}//docs`,
    encodeURIComponent(cap),
    encodeURIComponent(encodeURIComponent(cap)),
    `hf:dw:"${payload}"`,
    cap.replaceAll(":", "\\u003a"),
    `hf:dx:${payload}`,
    `f:dw:${payload}`,
    `hf:lit:mfrgg`,
    payload,
    `home:/${payload}`,
    `/tmp/${payload.toUpperCase()}.cap`,
    `${cap}x\u001b[0m`,
    // What was pasted from a page, a chat, a terminal or a mail.
    `hf:dw:\u200b${payload}`,
    `h\u00adf:d\u2060w:${payload}`,
    `hf:dw:\u001b[31m${payload}\u001b[0m`,
    `hf:\u0000dw:\u202e${payload}`,
    `\ufeff${cap}`,
  ]
  for (const text of spellings) {
    assert.ok(!redacted(text).toLowerCase().includes(payload.slice(0, 12)), `${text} is shown as ${redacted(text)}`)
    assert.ok(holdsSecret(text), text)
  }
})

test("capabilities of every kind are hidden", () => {
  const caps: Cap[] = [
    ...(["dw", "fw"] as const).map((kind) => ({ kind, seed: key })),
    ...(["dr", "fr"] as const).map((kind) => ({ kind, publicKey: key, readKey: key })),
    ...(["dv", "fv"] as const).map((kind) => ({ kind, publicKey: key, verifyKey: key })),
    { kind: "ci", entry: key },
    { kind: "cv", chunkIds: key },
    { kind: "lit", content: key.subarray(0, 1) },
  ] as Cap[]
  for (const one of caps)
    assert.equal(shownLine(`no ${encodeCap(one)} here`), `no hf:${one.kind}:[hidden] here`, one.kind)
})

test("no line of a capability that was wrapped is shown", () => {
  const wrapped = `hf:dw:${payload.slice(0, 24)}\n    ${payload.slice(24, 52)}`
  assert.ok(!redacted(wrapped).includes(payload.slice(30, 40)), redacted(wrapped))
  // The key stands in the second half of these: mail wraps and quotes them just there.
  const random = Uint8Array.from({ length: 32 }, (_, i) => (i * 89 + 41) % 256)
  const read = encodeCap({ kind: "dr", publicKey: key, readKey: random })
  for (const between of ["\n> ", "\n>> | ", "=\n", "\\n", '",\n  "', " … "])
    for (const at of [40, 64, 72]) {
      const shown = redacted(`in ${read.slice(0, at)}${between}${read.slice(at)}.`)
      for (let i = at; i + 16 < read.length; i++) assert.ok(!shown.includes(read.slice(i, i + 16)), shown)
    }
  assert.equal(
    redacted(`${cap} is damaged, incomprehensibilities aside`),
    "hf:dw:[hidden] is damaged, incomprehensibilities aside",
  )
})

test("a secret of which a message quotes the beginning is hidden as a whole one is", () => {
  const read = encodeCap({ kind: "dr", publicKey: key, readKey: key })
  for (const text of [cap, payload, read, read.slice("hf:dr:".length), `x=${read.slice("hf:dr:".length)}`])
    for (const most of [12, 20, 64, 100]) {
      const quoted = `"${excerpt(text, most)}" is no role`
      assert.ok(!shownLine(quoted).includes(payload.slice(0, 6)), shownLine(quoted))
    }
  assert.equal(excerpt("a longer text", 8), "a longer")
})

test("a warning, a question and a line of an error fill no screen; a result is as long as it is", () => {
  const long = "\u001b".repeat(100_000)
  const { said, streams } = screenOf(false)
  const screen = createScreen(streams)
  screen.warn(long)
  screen.tell([long])
  reportError({ ...streams, env: {} } as never, new HoldfastError("ERR_REMOTE", long, { lines: [long] }))
  assert.ok(said.stderr.length < 50_000, `${said.stderr.length}`)
  assert.match(said.stderr, /letters more\)\n$/)
  screen.output({}, long)
  assert.equal(said.stdout.length, 4 * long.length + 1)
})

test("letters that are not seen are shown, but not where writing needs them", () => {
  assert.equal(
    shownLine("pass\u200dword\u200b \u2060\u00ad\u3164\u{e0061}x\ufe0f"),
    "pass\\u200dword\\u200b \\u2060\\xad\\u3164\\u{e0061}x\\ufe0f",
  )
  for (const text of ["👩\u200d💻", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "می\u200cخواهم", "क्\u200dष"])
    assert.equal(shownLine(text), text)
})

test("marks stacked beyond what any writing has are shown beside their letter, and come back from JSON", () => {
  const zalgo = `o${"\u0300\u0489".repeat(20)}n`
  assert.equal(shownLine(zalgo).match(/\p{M}/gu)!.length, 8)
  assert.ok(shownLine(zalgo).endsWith("\\u0489n"))
  assert.equal(JSON.parse(shownJson(zalgo)), zalgo)
  assert.ok(shownJson(zalgo).match(/\p{M}/gu)!.length <= 8)
  for (const text of ["Tiếng Việt".normalize("NFD"), "בְּרֵאשִׁ֖ית", "བསྒྲུབས"]) assert.equal(shownLine(text), text)
})

test("the words of a recovery kit are refused as arguments, together or apart", async () => {
  const words = "abandon ability able about above absent absorb abstract absurd abuse access accident".split(" ")
  for (const args of [
    ["recovery", "restore", "--kit-passphrase-file", words.join(" ")],
    ["recovery", "restore", ...words],
    ["recovery", "restore", `--kit-passphrase-file=${words.join("\n").toUpperCase()}`],
    words.map((word, i) => `${i + 1}. ${word}`),
  ]) {
    await assert.rejects(refuseSecrets(args, {}), (error: HoldfastError) => {
      assert.equal(error.code, "ERR_EXPOSED")
      assert.doesNotMatch(error.message + JSON.stringify(error.details), /abandon|abuse/)
      return true
    })
    await refuseSecrets(args, { HOLDFAST_ALLOW_SECRETS_IN_ARGV: "1" })
  }
  await refuseSecrets(["put", ...words.slice(0, 8), "home:"], {})
})

test("invitations, private keys and keys of buckets are hidden; what only speaks of them is not", () => {
  for (const text of [
    "hf-invite:mfrggzdfmztwq2lk",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG",
    "AKIAIOSFODNN7EXAMPLE",
    "s3://key:secret@bucket",
    "--passphrase=hunter2",
  ])
    assert.ok(holdsSecret(text), text)
  for (const text of [
    "a capability hf:…/path",
    "it does not have the form hf:KIND:LETTERS",
    "now stands for a capability of kind hf:dw:. It",
    "home:/docs",
    "cv:applicationletterforacmecompany.pdf",
    "a".repeat(58), // no digit
    Buffer.from(key).toString("hex").replaceAll("0", "a"), // 64 letters: a hash of anything
    `bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi`, // 59: a name in IPFS
    "http://127.0.0.1:7443/x@y",
    "photos@s3.example.org",
    "--passphrase-file",
    "aws_secret_access_key = ...",
  ])
    assert.equal(redacted(text), text)
})

test("an error with --json holds no secret, however deep", () => {
  const { said, streams } = screenOf(true)
  const error = new HoldfastError("ERR_NOT_FOUND", `no ${cap}`, { path: cap, deep: [{ [cap]: cap }] })
  reportError({ ...streams, env: {} } as never, error)
  assert.ok(!said.stdout.includes(payload.slice(0, 12)))
  assert.equal(JSON.parse(said.stdout).error.code, "ERR_NOT_FOUND")
})

test("cleaning twice changes nothing more, and what is safe stays", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const once = shownLine(text)
      assert.equal(shownLine(once), once)
      assert.doesNotMatch(once, /[\n\t]/)
      assert.doesNotMatch(once, control)
    }),
  )
  assert.equal(shownLine("Grüße 日本 👩‍👩‍👧"), "Grüße 日本 👩‍👩‍👧")
})

test("looking through a long text of a server costs little, whatever it repeats", () => {
  for (const piece of [
    "://a:b",
    "-----BEGIN PRIVATE KEY-----",
    "hf:",
    "hf%2525",
    "dw:",
    "--",
    "--passphrase",
    "?x-amz-",
    "a",
    "a2",
    `${payload} `,
    `${payload}0`,
  ]) {
    const started = performance.now()
    redacted(piece.repeat(100_000 / piece.length))
    assert.ok(performance.now() - started < 2000, piece)
  }
})
