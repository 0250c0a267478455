/**
 * Bounds on what a bucket answers beside objects. The S3 client reads such XML whole and parses it before anybody can look,
 * so an endless answer would take all memory, and one with many document types all time.
 */
import { Readable } from "node:stream"
import type { S3Client } from "@aws-sdk/client-s3"
import { HoldfastError } from "@holdfast/core"

/** A page of 1000 keys of 1 kB, each letter escaped, is smaller. */
const mostXmlBytes = 8 * 1024 * 1024

interface Answer {
  readonly statusCode: number
  body: unknown
}

/** Makes `client` refuse answers that are neither an object nor XML as S3 has it. Throws ERR_LIMIT, ERR_BAD_FORMAT then. */
export function guardAnswers(client: S3Client, name: string): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args)
        const answer = result.response as Answer
        const isObject = commandName === "GetObjectCommand" && answer.statusCode === 200
        if (!isObject && answer.body instanceof Readable)
          answer.body = Readable.from([await readXml(answer.body, name)])
        return result
      },
    { step: "deserialize", priority: "low", name: "guardAnswers" },
  )
}

async function readXml(body: Readable, name: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > mostXmlBytes) {
      body.destroy()
      throw new HoldfastError("ERR_LIMIT", `Bucket ${name} answered with more than ${mostXmlBytes} bytes of XML.`)
    }
    pieces.push(piece)
  }
  const xml = Buffer.concat(pieces)
  if (/<!doctype/i.test(xml.toString("latin1")))
    throw new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} answered with a document type, which S3 never does.`)
  return xml
}

/** The `Date` of an answer: the bucket's own clock, the only one by which anything here is called old. */
export function readDates(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const { headers = {} } = result.response as { headers?: Readonly<Record<string, string>> }
      const { $metadata } = result.output as { $metadata?: { dateMs?: number } }
      if ($metadata) $metadata.dateMs = Date.parse(headers["date"] ?? "")
      return result
    },
    { step: "deserialize", priority: "high", name: "readDates" },
  )
}

/** When the bucket answered. Throws ERR_BAD_FORMAT when it does not say. */
export function dateOf(output: { readonly $metadata: object }, name: string): number {
  const { dateMs = Number.NaN } = output.$metadata as { dateMs?: number }
  if (Number.isSafeInteger(dateMs) && dateMs > 0) return dateMs
  throw new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} does not say when it answers (no Date), as S3 always does.`)
}
