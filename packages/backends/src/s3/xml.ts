/**
 * XML as S3 answers it: lists and errors, of elements and text. Bounds are here: an endless answer would take all memory, and one with
 * document types all time.
 */
import type { IncomingMessage } from "node:http"
import { HoldfastError } from "@holdfast/core"
import { SaxesParser } from "saxes"

/** An element: its name, the text directly in it, the elements in it. */
export interface Element {
  readonly name: string
  readonly text: string
  readonly children: readonly Element[]
}

/** What most answers fit into. */
const usualBytes = 16 * 1024
/** A page of 1000 keys of 1 kB, each letter escaped, is smaller. */
const mostBytes = 8 * 1024 * 1024
/** Elements and attributes: a page of 1000 keys has a dozen for each. */
const mostElements = 65_536
/** Lists have three levels. */
const mostDepth = 16

/**
 * Reads the whole body of an answer of bucket `name`; undefined when it is no XML that is well-formed. Throws ERR_LIMIT for more than
 * 8 MiB, ERR_BAD_FORMAT for a document type.
 */
export async function readXml(body: IncomingMessage, name: string): Promise<Element | undefined> {
  let bytes = Buffer.alloc(usualBytes)
  let length = 0
  for await (const piece of body as AsyncIterable<Buffer>) {
    if (length + piece.length > mostBytes) {
      body.destroy()
      throw new HoldfastError("ERR_LIMIT", `Bucket ${name} answered with more than ${mostBytes} bytes of XML.`)
    }
    if (length + piece.length > bytes.length) {
      const larger = Buffer.alloc(Math.max(2 * bytes.length, length + piece.length))
      bytes.copy(larger)
      bytes = larger
    }
    bytes.set(piece, length) // an array for each would cost a hundred times what comes byte by byte
    length += piece.length
  }
  return parseXml(bytes.toString("utf8", 0, length), name)
}

/** Why reading ends before the end: what comes then need not be looked at. */
class NotWellFormed extends Error {}

/** The root of a document; undefined when it is not well-formed. Throws ERR_BAD_FORMAT for a document type. */
export function parseXml(text: string, name: string): Element | undefined {
  const parser = new SaxesParser()
  const open: { name: string; text: string; children: Element[] }[] = []
  let root: Element | undefined
  let count = 0
  parser.on("error", () => {
    throw new NotWellFormed()
  })
  parser.on("doctype", () => {
    throw new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} answered with a document type, which S3 never does.`)
  })
  parser.on("opentag", (tag) => {
    const element = { name: tag.name, text: "", children: [] }
    const parent = open.at(-1)
    if (parent) parent.children.push(element)
    else root = element
    if (open.push(element) > mostDepth || ++count > mostElements) throw new NotWellFormed()
  })
  parser.on("attribute", () => {
    if (++count > mostElements) throw new NotWellFormed()
  })
  parser.on("closetag", () => void open.pop())
  const add = (said: string) => {
    const element = open.at(-1)
    if (element) element.text += said
  }
  parser.on("text", add)
  parser.on("cdata", add)
  try {
    parser.write(text).close()
    return root
  } catch (error) {
    if (error instanceof NotWellFormed) return undefined
    throw error
  }
}

/** The text of the first element called `name` in another; undefined where there is none. */
export function textIn(element: Element | undefined, name: string): string | undefined {
  return element?.children.find((child) => child.name === name)?.text
}
