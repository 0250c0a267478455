/**
 * Labels of places: what would be lost with what. Places that share a label are one failure domain; domains lie within each
 * other, a rack in its site and a site with its provider. Specification: docs/formats/volume.md.
 */
import { matching } from "@holdfast/core"
import * as v from "valibot"

/** Kinds of labels, the widest first. */
export const labelKinds = ["provider", "site", "rack"] as const

/** A kind of label. */
export type LabelKind = (typeof labelKinds)[number]

const labelSchema = v.optional(matching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/))

/** Labels of a place, one at least. */
export const labelsSchema = v.pipe(
  v.strictObject({ provider: labelSchema, site: labelSchema, rack: labelSchema }),
  v.check((labels) => labelKinds.some((kind) => labels[kind] !== undefined), "labels name nothing"),
)

/** Labels of a place. */
export type Labels = v.InferOutput<typeof labelsSchema>

/**
 * Names of the domains that a place lies in, the widest first: each begins with the one around it, so `rack=1` of two sites are two
 * domains. None without labels: such a place is lost alone.
 */
export function domainsOf(labels: Labels | undefined): readonly string[] {
  const given = labelKinds.flatMap((kind) => (labels?.[kind] === undefined ? [] : [`${kind}=${labels[kind]}`]))
  return given.map((_, i) => given.slice(0, i + 1).join("/"))
}
