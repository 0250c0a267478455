/** The daemons as their operator meets them: what they log, how they end, who is shut out. Real processes throughout. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { concat } from "@holdfast/core"
import { loadGrid, loadIdentity, parseAddress } from "@holdfast/network"
import { dataHead, decodeInvite, encodeIds, encodeRequest, TransportReader, transportName } from "@holdfast/protocol"
import { finish, until } from "./grid.ts"
import { type Members, startMembers } from "./members.ts"

let members: Members
const debug = ["--log-level", "debug"]

before(async () => {
  members = await startMembers()
  for (const name of ["coordinator", ...members.nodes]) {
    await members.kill(name)
    await members.revive(name, debug)
  }
})
after(() => members?.close())

const profileOf = () => `${members.folder}/config/holdfast/profiles/default`
const logText = () => fs.readFileSync(`${members.folder}/log`, "utf8")

/** Every private key below the members' folder, without the lines around it. */
function privateKeys(): string[] {
  const files = fs.readdirSync(members.folder, { recursive: true, encoding: "utf8" })
  return files
    .filter((file) => /key\.pem$/.test(file))
    .map((file) => fs.readFileSync(`${members.folder}/${file}`, "utf8").split("\n")[1]!)
}

test("no token, key or capability is in any log or message of joining and storing, at the level of debug", async () => {
  const file = await members.invite("late", "--role", "node", "--name", "late")
  const invite = fs.readFileSync(file, "utf8").trim()
  const identity = `${members.folder}/late/identity`
  const outputs = [await members.run(["join", "--invite-file", file, "--identity", identity, "--name", "late"])]
  outputs.push(await finish(members.start(["join", "--invite-file", file, "--identity", `${identity}2`])))
  outputs.push(await members.run(["put", "-", "home:/secret"], { input: randomBytes(2_000_000) }))
  outputs.push(await members.run(["ls", "-l", "home:/"]), await members.run(["check", "--deep", "home:"]))
  const caps = await Promise.all([[], ["--read"], ["--verify"]].map((more) => members.run(["cap", "home:", ...more])))
  const wrong = caps[0]!.stdout.trim().replace(/.$/, (last) => (last === "a" ? "b" : "a"))
  outputs.push(await finish(members.start(["ls", wrong])))
  const token = Buffer.from(decodeInvite(invite).token)
  const { convergenceSecret } = JSON.parse(fs.readFileSync(`${profileOf()}/secrets.json`, "utf8")) as Record<
    string,
    string
  >
  const keys = privateKeys()
  assert.ok(keys.length >= 8)
  const secrets = [
    ...[invite, token.toString("hex"), token.toString("base64url"), token.toString("base64"), convergenceSecret!],
    ...caps.map(({ stdout }) => stdout.trim().split(":").at(-1)!),
    ...[wrong.split(":").at(-1)!, ...keys],
  ]
  const said = [logText(), ...outputs.flatMap(({ stdout, stderr }) => [stdout.toString(), stderr])].join("\n")
  for (const secret of secrets) {
    assert.ok(secret.length > 20)
    assert.ok(!said.includes(secret) && !said.includes(secret.slice(0, 40)), `${secret.slice(0, 6)}… is told`)
  }
  const lines = logText().trim().split("\n")
  const events = new Set(
    lines.map((line) => {
      const { time, level, event } = JSON.parse(line) as Record<string, string>
      assert.ok(!Number.isNaN(Date.parse(time!)) && /^(error|warn|info|debug)$/.test(level!) && event, line)
      return event
    }),
  )
  for (const event of ["request", "member joined", "join refused", "started"]) assert.ok(events.has(event), event)
})

test("a node that is asked to end takes nothing new, finishes what it has begun, and ends by itself", async () => {
  const { address } = (await loadGrid(`${profileOf()}/identity`)).servers.find(({ name }) => name === "n1")!
  const { keyPem: key, certPem: cert, caPem: ca } = await loadIdentity(`${profileOf()}/identity`)
  const dial = async () => {
    const to = { ...parseAddress(address), ALPNProtocols: [transportName], checkServerIdentity: () => undefined }
    const socket: TLSSocket = connect({ ...to, key, cert, ca })
    await once(socket, "secureConnect")
    return socket
  }
  const begun = await dial()
  const [reader, events] = [new TransportReader("node"), [] as string[]]
  begun.on("data", (bytes: Buffer) => {
    for (const event of reader.read(bytes))
      events.push(event.type === "answer" ? `answer ${event.head.status}` : event.type)
  })
  const body = encodeIds([])
  begun.write(encodeRequest(1, { endpoint: "shares/has", headers: {}, bodyBytes: body.length }))
  begun.write(concat(dataHead(1, 1), body.subarray(0, 1)))
  await members.run(["ls", "home:/"]) // a whole command later the request has begun
  const ended = members.end("n1")
  await until("n1 to refuse connections", async () => {
    const socket = await dial().catch((error: NodeJS.ErrnoException) => error)
    if (socket instanceof Error) return (socket as NodeJS.ErrnoException).code === "ECONNREFUSED"
    socket.destroy()
    return false
  })
  begun.write(concat(dataHead(1, body.length - 1), body.subarray(1)))
  await once(begun, "close")
  assert.deepEqual(events, ["goaway", "answer 200", "data"])
  const startedMs = performance.now()
  assert.equal(await ended, 0)
  assert.ok(performance.now() - startedMs < 5_000)
  await members.revive("n1")
  assert.equal(await members.end("coordinator"), 0)
  await members.revive("coordinator")
})

test("a revoked client is listed as such, and refused by name and reason", async () => {
  const dir = ["--dir", `${members.folder}/coordinator`]
  await members.run(["ls", "home:/"])
  const before = await members.run(["coordinator", "members", ...dir])
  assert.match(before.stdout, /laptop +client +alice +all roles +\S+ +until \d{4}-/)
  const unknown = await members.run(["coordinator", "revoke", "nobody", ...dir], { code: 3 })
  assert.match(unknown.stderr, /nobody/)
  await members.run(["coordinator", "revoke", "laptop", ...dir])
  assert.match((await members.run(["coordinator", "members", ...dir])).stdout, /laptop .*revoked \d{4}-/)
  for (const name of members.nodes) {
    await members.end(name) // a node hears of it each minute, and when it starts
    await members.revive(name)
  }
  await until("the nodes to hear of it", async () => {
    const refused = await finish(members.start(["ls", "home:/"]))
    return refused.code !== 0 && /was revoked/.test(refused.stderr)
  })
})

test("whatever a revoked client asks for, one node that is there tells it why it gets nothing", async () => {
  for (const name of ["coordinator", ...members.nodes.slice(1)]) await members.kill(name)
  const local = `${members.folder}/a file`
  fs.writeFileSync(local, "text")
  const operations = [
    ...[
      ["ls", "home:/"],
      ["tree", "home:/"],
      ["du", "home:/"],
      ["stat", "home:/secret"],
      ["find", "home:/"],
    ],
    ...[
      ["cat", "home:/secret"],
      ["get", "home:/secret", `${local}.got`],
      ["put", local, "home:/"],
    ],
    ...[
      ["mkdir", "home:/folder"],
      ["rm", "home:/secret"],
      ["cp", "home:/secret", "home:/copy"],
    ],
    ...[
      ["snapshot", "create", "home:", "now"],
      ["history", "list", "home:"],
      ["alias", "create", "more"],
    ],
    ...[["check", "home:"], ["check", "--deep", "--verify", "home:"], ["rebalance", "home:"], ["gc"]],
    ...[["account", "show"], ["keep", "home:"], ["upgrade"]],
  ]
  for (const operation of operations) {
    const refused = await finish(members.start(operation))
    assert.match(refused.stderr, /certificate was revoked/, `${operation.join(" ")}: ${refused.stderr}`)
    assert.equal(refused.code, 6, operation.join(" "))
  }
})
