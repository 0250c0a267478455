import assert from "node:assert/strict"
import { test } from "node:test"
import type { VolumeBackend } from "@holdfast/protocol"
import { describeLead } from "../src/volumes/leads.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>
const bucket: Bucket = {
  ...{ kind: "s3", id: "photos@harmless.example", bucket: "photos", prefix: "", region: "eu-west-1" },
  ...{ pathStyle: false, conditionalWrites: true },
}

test("a description tells the host that is connected to and the keys that are used, whatever it calls itself", () => {
  const told = (more: Partial<Bucket>) => describeLead({ ...bucket, ...more })
  const aws = "the keys of your AWS configuration"
  assert.equal(told({}), `bucket photos at https://s3.eu-west-1.amazonaws.com, with ${aws}`)
  assert.equal(told({ region: "cn-north-1" }), `bucket photos at https://s3.cn-north-1.amazonaws.com.cn, with ${aws}`)
  assert.equal(told({ endpoint: "http://0x7f.1:80/s3" }), `bucket photos at http://127.0.0.1, with ${aws}`)
  assert.equal(told({ endpoint: "https://EVIL.example:443" }), `bucket photos at https://evil.example, with ${aws}`)
  assert.match(told({ endpoint: "https://[::ffff:7f00:1]:9000" }), /https:\/\/\[::ffff:7f00:1\]:9000,/)
  assert.match(told({ profile: "work" }), /with the keys of the AWS profile work$/)
  assert.match(told({ profile: "work", credentials: "/k" }), /with the keys in \/k under \[work\]$/)
})
