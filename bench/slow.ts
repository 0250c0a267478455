/**
 * Reads from four buckets at 2-of-4 while one of them answers 200 ms later than the others: a proxy before each bucket
 * of a local Ceph gateway holds back what comes from it. Files of 64 KiB, each a chunk of its own, with nothing cached:
 * in a client that is running already, and by the command, which knows nothing of its servers when it starts.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { nodeEnv } from "@holdfast/core/node"
import { decodeCap } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { createFileWriter, type FileContent, openTree, plainAttributes, readFile, type Tree } from "@holdfast/tree"
import { credentialLines, makeBucket } from "../e2e/bucket.ts"
import { missingCephPrograms, startCeph } from "../e2e/ceph.ts"
import { createClient } from "../e2e/client.ts"
import { record } from "./command.ts"
import { type DelayingProxy, startProxy } from "./proxy.ts"

const files = 200
const commands = 20
const fileBytes = 64 * 1024
const slowMs = 200
const clouds = ["cloud1", "cloud2", "cloud3", "cloud4"]
const keys = { accessKey: "KEYOFBENCH", secretKey: "secret-of-bench" }

const missing = missingCephPrograms()
if (missing.length > 0) {
  process.stdout.write(`Left out: ${missing.join(", ")} are not installed.\n`)
  process.exit(0)
}

function medianOf(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1]!
}

/** Median times of `work` with none slow, and with each server slow in turn. */
async function compare(
  what: string,
  proxies: readonly DelayingProxy[],
  rounds: number,
  work: (round: number) => Promise<void>,
) {
  const run = async () => {
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      await work(round)
      times.push(performance.now() - start)
    }
    return medianOf(times)
  }
  await run() // connections are made, code is compiled
  const before = await run()
  const slow: number[] = []
  for (const proxy of proxies) {
    proxy.delayMs = slowMs
    slow.push(await run())
    proxy.delayMs = 0
  }
  const none = (before + (await run())) / 2 // the machine may have become slower meanwhile
  const ratio = slow.reduce((sum, ms) => sum + ms, 0) / slow.length / none
  record(what, { noneSlowMs: none, oneSlowMs: slow, times: ratio })
  process.stdout.write(
    `${what.padEnd(40)}  none slow ${none.toFixed(1)} ms  one slow ${slow.map((ms) => ms.toFixed(1)).join(", ")} ms  ` +
      `${ratio.toFixed(2)} times (aim: 1.3)\n`,
  )
}

const client = createClient()
const ceph = await startCeph()
const proxies = await Promise.all(clouds.map(() => startProxy(Number(new URL(ceph.endpoint).port))))
try {
  await ceph.addUser("bench", keys)
  fs.writeFileSync(`${client.folder}/keys`, credentialLines(keys), { mode: 0o600 })
  for (const cloud of clouds) await makeBucket(ceph.endpoint, keys, cloud)
  const places = clouds.map(
    (cloud, i) => `s3://${cloud}?endpoint=http://127.0.0.1:${proxies[i]!.port}&credentials=${client.folder}/keys`,
  )
  await client.run(["volume", "create", "clouds", "--coding", "2/3/4", "--backend", ...places])

  const profile = await openProfile(pathsOf(client.env), "default", async () => {
    throw new Error("a new profile is not locked")
  })
  const session = await openSession(profile, { volume: "clouds" })
  const { chunks, registers } = session.store
  const treeKeys = await keysOfCap(nodeEnv.crypto, decodeCap(profile.aliases.get("clouds")!))
  const open = (): Promise<Tree> => openTree({ chunks, registers, env: nodeEnv, keys: treeKeys })
  const tree = await open()
  const stored: FileContent[] = []
  for (let i = 0; i < files; i++) {
    const writer = createFileWriter(tree.io)
    const adding = writer.add(new Uint8Array(randomBytes(fileBytes)))
    await writer.flush()
    stored.push(await adding)
  }
  await tree.commit(async (edit) => {
    for (const [i, content] of stored.entries())
      await edit.set([`file${i}`], {
        ...{ name: `file${i}`, kind: "file", ...plainAttributes(0o644, 0), size: content.size, content },
      })
  })
  await compare("read 64 KiB in a running client", proxies, files, async (i) => {
    const entry = await (await open()).lookup([`file${i}`])
    if (entry?.kind !== "file") throw new Error("a file is not there")
    for await (const piece of readFile(tree.io, entry)) if (piece.length !== fileBytes) throw new Error("cut off")
  })
  await session.close()
  await compare("holdfast cat of 64 KiB", proxies, commands, async (i) => {
    await client.run(["cat", `clouds:file${i}`])
  })
} finally {
  for (const proxy of proxies) proxy.close()
  await ceph.stop()
  client.close()
}
