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
